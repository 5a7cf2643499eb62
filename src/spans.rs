//! Spans of the crate `tracing`, with its feature. Without the feature, nothing is compiled.

/// Enters a span, whose name and fields come as for `tracing::span!`. It lasts until the value is dropped.
#[cfg(feature = "tracing")]
macro_rules! span {
    ($level:ident, $name:literal $($fields:tt)*) => {
        tracing::span!(target: "partstore", tracing::Level::$level, $name $($fields)*).entered()
    };
}

/// Stands for a span.
#[cfg(not(feature = "tracing"))]
pub(crate) struct NoSpan;

#[cfg(not(feature = "tracing"))]
impl NoSpan {
    pub(crate) fn enter() -> Self {
        Self
    }
}

#[cfg(not(feature = "tracing"))]
macro_rules! span {
    ($level:ident, $name:literal $($fields:tt)*) => {
        crate::spans::NoSpan::enter()
    };
}

pub(crate) use span;
