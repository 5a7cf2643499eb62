//! [`Call`]: one statement with its arguments, which may be sent again.

use tokio_postgres::types::{ToSql, Type};

type Value = Box<dyn ToSql + Sync + Send>;

/// A statement and its arguments.
#[derive(Debug)]
pub(crate) struct Call {
    pub sql: String,
    values: Vec<(Value, Type)>,
    /// It is not made again for what was in its way: a lock, a deadlock.
    pub gives_way: bool,
}

impl Call {
    /// A call of one function of the schema, with arguments in their order.
    pub fn function(schema: &Schema, name: &str, arguments: Arguments) -> Self {
        let places: Vec<_> = (1..=arguments.0.len()).map(|at| format!("${at}")).collect();
        let places = places.join(", ");
        Self {
            sql: schema.apply(&format!("SELECT * FROM ps.{name}({places})")),
            values: arguments.0,
            gives_way: false,
        }
    }

    /// Any statement, in which `ps.` stands for the schema.
    pub fn statement(schema: &Schema, sql: &str, arguments: Arguments) -> Self {
        Self {
            sql: schema.apply(sql),
            values: arguments.0,
            gives_way: false,
        }
    }

    /// The same call, which is refused if something is in its way.
    pub fn giving_way(self) -> Self {
        Self {
            gives_way: true,
            ..self
        }
    }

    pub fn values(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        let values = self.values.iter();
        let typed = values.map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone()));
        typed.collect()
    }
}

/// Arguments of a call, each with its type, so that the server need not be asked for it.
#[derive(Debug, Default)]
pub(crate) struct Arguments(Vec<(Value, Type)>);

impl Arguments {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with<T: Typed>(mut self, value: T) -> Self {
        self.0.push((Box::new(value), T::TYPE));
        self
    }
}

/// A Rust type whose values have one type in SQL.
pub(crate) trait Typed: ToSql + Sync + Send + 'static {
    const TYPE: Type;
}

macro_rules! typed {
    ($($rust:ty => $scalar:ident, $array:ident;)*) => {$(
        impl Typed for $rust {
            const TYPE: Type = Type::$scalar;
        }
        impl Typed for Option<$rust> {
            const TYPE: Type = Type::$scalar;
        }
        impl Typed for Vec<$rust> {
            const TYPE: Type = Type::$array;
        }
        impl Typed for Vec<Option<$rust>> {
            const TYPE: Type = Type::$array;
        }
    )*};
}

typed! {
    Vec<u8> => BYTEA, BYTEA_ARRAY;
    String => TEXT, TEXT_ARRAY;
    bool => BOOL, BOOL_ARRAY;
    i16 => INT2, INT2_ARRAY;
    i32 => INT4, INT4_ARRAY;
    i64 => INT8, INT8_ARRAY;
}

/// The schema of one store. Statements call it `ps.`.
#[derive(Clone, Debug)]
pub(crate) struct Schema(String);

impl Schema {
    pub fn new(name: &str) -> Self {
        Self(format!("\"{}\".", name.replace('"', "\"\"")))
    }

    /// The name in double quotes.
    pub fn quoted(&self) -> &str {
        self.0.trim_end_matches('.')
    }

    pub fn apply(&self, sql: &str) -> String {
        sql.replace("ps.", &self.0)
    }
}
