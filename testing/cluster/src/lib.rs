//! Many servers on one store of the cluster engine, killed and started again: what they answered must make
//! sense as one history, and what is left must be whole.

pub mod audit;
pub mod functions;
pub mod history;
pub mod linear;
pub mod log;
pub mod run;
pub mod sabotage;
pub mod schedules;
pub mod server;
pub mod sql;
