//! The store under chosen schedules.
//!
//! `partstore` is compiled here from its own sources, with `cfg(shuttle)`. Four things beneath it are others:
//! `parking_lot`, whose locks here ask [shuttle](https://docs.rs/shuttle) who runs next; `md5_lanes`, likewise;
//! `sled`, which here is ordered maps in memory; and the file layer, which here is a
//! [disk](harness::disk) in memory, of which a power cut leaves what the crash suite's loss policies leave. All
//! tasks run one at a time, and at each lock,
//! wake-up, system call and row another may go on: shuttle chooses, by chance or one schedule after
//! the other, and prints the schedule that makes a test fail, for `shuttle::replay`.
//!
//! A test is a closure that opens a store, starts tasks, joins them and looks at what is there; some
//! then cut the power, open what is left and look again. What the closure does may depend on
//! nothing but the schedule and `shuttle::rand`. The tests of the journal, the pins and the blobs alone stand
//! beside these in `src`, in modules named `schedules`.
//!
//! `PARTSTORE_SCHEDULES=100` in the environment makes each test try 100 times as many schedules.
//!
//! Each test must be able to fail. Those named `..._is_found` break something beneath the engine and
//! expect the failure; `testing/mutations/run` changes a copy of the engine itself, and expects
//! the tests that the mutation names to fail.
//!
//! Not covered: the order in which processors see each other's writes (`std::sync::atomic` is left
//! as it is), the background thread, time, and an index that is trusted after a clean close.

#[cfg(test)]
mod tests;
