//! Child processes: each does one job, and is given up when it says nothing for too long.
//!
//! What may crash, hang or exhaust something runs in a process of its own. A child writes lines to
//! its standard output: [`alive`] from time to time, [`answer`] at the end.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long a child may say nothing.
const PATIENCE: Duration = Duration::from_mins(1);
const ALIVE: &str = "alive";
const ANSWER: &str = "answer ";

/// Says that this child goes on.
pub fn alive() {
    say(ALIVE);
}

/// Says what this child has found.
///
/// # Panics
/// When it cannot be written as JSON.
pub fn answer(found: &impl Serialize) {
    let text = serde_json::to_string(found).expect("plain values can be written");
    say(&format!("{ANSWER}{text}"));
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The parent may have gone; then nobody waits.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Runs this program once for each job, which is its arguments, on all cores. Gives what each
/// answered, in the order of the jobs, or why it did not. `go_on` is asked before each.
pub fn run<T: DeserializeOwned + Send>(
    jobs: &[Vec<String>],
    go_on: &(dyn Fn() -> bool + Sync),
    tell: &(dyn Fn(usize, &Result<T, String>) + Sync),
) -> Vec<Option<Result<T, String>>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..jobs.len()).collect());
    let answers: Mutex<Vec<Option<Result<T, String>>>> =
        Mutex::new(jobs.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while go_on() {
                    let Some(job) = queue.lock().expect("no panic").pop_front() else {
                        return;
                    };
                    let answer = one(&jobs[job]);
                    tell(job, &answer);
                    answers.lock().expect("no panic")[job] = Some(answer);
                }
            });
        }
    });
    answers.into_inner().expect("no panic")
}

fn one<T: DeserializeOwned>(job: &[String]) -> Result<T, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(job)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let outcome = listen(&mut child);
    let _ = child.kill();
    let status = child.wait().map_err(|error| error.to_string())?;
    outcome.map_err(|reason| format!("{reason} ({status}): {}", job.join(" ")))
}

fn listen<T: DeserializeOwned>(child: &mut Child) -> Result<T, String> {
    let out = child.stdout.take().ok_or("no output")?;
    let (lines, said) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                return;
            }
        }
    });
    loop {
        match said.recv_timeout(PATIENCE) {
            Ok(line) => {
                if let Some(text) = line.strip_prefix(ANSWER) {
                    return serde_json::from_str(text).map_err(|error| error.to_string());
                }
            }
            Err(mpsc::RecvTimeoutError::Timeout) => return Err("it hangs".to_owned()),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err("it died".to_owned()),
        }
    }
}
