//! [`Failure`]: why a call of the database was not answered as it should.

use partstore::Error;
use tokio_postgres::error::{DbError, SqlState};

/// Why a call failed for good.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The database answered, and has changed nothing. The code is one of ours, unless it cannot do this call.
    Refused { code: String, detail: String },
    /// Nothing was changed, and the cause may pass.
    Away { cause: String },
    /// Nobody knows whether the change was made.
    Unknown { cause: String },
}

impl Failure {
    /// Whether the lease is over, of which the token was.
    pub fn is_token_lost(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "PS002")
    }

    /// Whether a put is to be made in a call of its own.
    pub fn is_to_be_alone(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "PS014")
    }

    /// Whether the bytes of a body that was stored without a look are stored already.
    pub fn is_known_already(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "PS013")
    }

    /// Whether one of our functions has refused.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code.starts_with("PS"))
    }

    /// The same for a call of which an earlier attempt may have had its effect.
    pub fn unknown(self) -> Self {
        let cause = match self {
            Self::Refused { code, .. } if code == "PS002" => {
                "the lease of this server ended before the answer came".to_owned()
            }
            Self::Refused { code, detail } => format!("{code} {detail}"),
            Self::Away { cause } | Self::Unknown { cause } => cause,
        };
        Self::Unknown { cause }
    }

    /// The refusal of a call before this was answered to it: it is final if the token is lost by now.
    pub fn behind(self, refusal: Self) -> Self {
        if self.is_token_lost() {
            refusal
        } else {
            self.unknown()
        }
    }

    /// The error for a failure that has no meaning of its own to the caller.
    pub fn into_error(self) -> Error {
        match self {
            Self::Refused { code, detail } if code == "PS002" => Error::Unavailable {
                cause: format!("this server's lease of the store is over ({detail})"),
            },
            Self::Refused { code, detail } => Error::Unavailable {
                cause: format!("the database refused: {code} {detail}"),
            },
            Self::Away { cause } => Error::Unavailable { cause },
            Self::Unknown { cause } => Error::OutcomeUnknown { cause },
        }
    }
}

/// Codes for a prepared statement that does not exist, that exists already, or whose plan cannot be kept. Prepared anew, it runs.
const STATEMENT_GONE: [&str; 3] = ["26000", "42P05", "0A000"];

/// Codes for a lock that was not got in time, a deadlock, and a transaction that another has overtaken.
const IN_THE_WAY: [&str; 3] = ["55P03", "40P01", "40001"];

/// What an error of one attempt says.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It has no effect, and none if it is made again.
    Refused(Failure),
    /// It has no effect, and may have one if it is made again.
    Undone(Failure),
    /// It may have had its effect.
    Unknown(String),
}

impl Attempt {
    pub fn of(error: &tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(said) => Self::said(said),
            None => Self::Unknown(one_line(error)),
        }
    }

    /// Takes what was in the way of others for a refusal: the caller does not wait for it.
    pub fn giving_way(self) -> Self {
        match self {
            Self::Undone(Failure::Refused { code, detail })
                if IN_THE_WAY.contains(&code.as_str()) =>
            {
                Self::Refused(Failure::Refused { code, detail })
            }
            attempt => attempt,
        }
    }

    /// The same of what comes before a statement runs: it has no effect.
    pub fn before_it_ran(self) -> Self {
        match self {
            Self::Unknown(cause) => Self::Undone(Failure::Away { cause }),
            attempt => attempt,
        }
    }

    /// Whether the connection's prepared statement was at fault: a pooler, or a change of the schema, took it.
    pub fn is_of_the_statement(&self) -> bool {
        matches!(self, Self::Undone(Failure::Refused { code, .. }) if STATEMENT_GONE.contains(&code.as_str()))
    }

    /// What the server itself says. It has undone the transaction, unless it was told to end, which may come
    /// right behind a commit.
    fn said(error: &DbError) -> Self {
        let code = error.code().code();
        let refused = Failure::Refused {
            code: code.to_owned(),
            detail: error.message().to_owned(),
        };
        if let Some(ours) = code.strip_prefix("PS").map(|_| code) {
            return Self::Refused(Failure::Refused {
                code: ours.to_owned(),
                detail: error.detail().unwrap_or_default().to_owned(),
            });
        }
        if code.starts_with("57P") || *error.code() == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN {
            return Self::Unknown(format!("{} ({code})", error.message()));
        }
        // Deadlocks, timeouts of locks, too many connections, and what a foreign key has refused because a
        // row had just gone: the same call may succeed.
        let passing = ["40", "53", "55", "57", "08", "25", "23"];
        let is_passing = passing.iter().any(|class| code.starts_with(class));
        if is_passing || STATEMENT_GONE.contains(&code) {
            return Self::Undone(refused);
        }
        Self::Refused(refused)
    }
}

/// An error with its sources.
pub(crate) fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line = format!("{line}: {cause}");
        next = cause.source();
    }
    line
}
