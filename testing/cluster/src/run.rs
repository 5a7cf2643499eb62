//! A run: some servers on one store, of which now and then one is killed and started again. Then the audit, and the check of
//! the history.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use partstore::UploadOptions;
use tempfile::TempDir;

use crate::audit::audit;
use crate::functions::{FUNCTIONS, with_naps};
use crate::history::{explain, key_of};
use crate::log::{self, Answer, now};
use crate::sabotage::Sabotage;
use crate::server::{Job, Pace, Place, name, write_uploads};
use crate::sql;

/// How a run goes.
#[derive(Clone)]
pub struct Settings {
    /// The program that is started as a server.
    pub program: PathBuf,
    pub database: String,
    pub length: Duration,
    pub servers: u64,
    pub kills: bool,
    /// Whether the functions of the database nap between their statements.
    pub naps: bool,
    pub sabotage: Option<&'static Sabotage>,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    pub calls: usize,
    pub acknowledged: usize,
    pub refused: usize,
    pub unknown: usize,
    pub unavailable: usize,
    pub kills: usize,
    pub wrong: Vec<String>,
}

impl Settings {
    pub fn new(program: impl Into<PathBuf>, database: &str) -> Self {
        Self {
            program: program.into(),
            database: database.to_owned(),
            length: Duration::from_secs(15),
            servers: 4,
            kills: true,
            naps: false,
            sabotage: None,
        }
    }

    pub fn run(&self) -> Report {
        let scratch = tempfile::tempdir().unwrap();
        let (logs, files) = (scratch.path().join("logs"), scratch.path().join("files"));
        std::fs::create_dir(&logs).unwrap();
        let schema = format!("torture_{}_{}", std::process::id(), fastrand::u32(..));
        let place = Place {
            database: self.database.clone(),
            schema,
            files,
        };
        let mut job = self.prepare(place, logs.join("audit"));
        write_uploads(&scratch.path().join("uploads"), &job.uploads);
        let mut report = Report {
            kills: self.serve(&job, &scratch),
            ..Report::default()
        };
        // Uploads must not run out while this machine is slow.
        job.until = now();
        report.wrong = audit(&job);
        let calls = log::read(&logs);
        report.count(&calls);
        report.wrong.extend(explain(&calls));
        if report.wrong.is_empty() {
            let dropped = format!("DROP SCHEMA {} CASCADE", job.place.schema);
            sql::run(&self.database, "", &dropped).unwrap();
        } else {
            eprintln!(
                "kept: schema {}, files {}",
                job.place.schema,
                scratch.keep().display()
            );
        }
        report
    }

    /// Makes the store, its functions as this run wants them, and the uploads.
    fn prepare(&self, place: Place, log: PathBuf) -> Job {
        let store = place.open().unwrap();
        let changed = self.sabotage.map_or_else(
            || FUNCTIONS.to_owned(),
            |sabotage| sabotage.apply(FUNCTIONS),
        );
        let changed = if self.naps {
            with_naps(&changed)
        } else {
            changed
        };
        sql::run(&place.database, &place.schema, &changed).unwrap();
        let how = Pace::new(self.naps);
        let uploads = (0..how.uploads(self.length)).map(|upload| {
            let options = UploadOptions::new().metadata(upload.to_string());
            store
                .initiate_upload_with(name(key_of(upload)).as_str(), options)
                .unwrap()
        });
        let uploads = uploads.collect();
        store.close().unwrap();
        let begun = now();
        let until = begun + u64::try_from(self.length.as_nanos()).unwrap();
        Job {
            place,
            log,
            id: 0,
            begun,
            until,
            pace: how,
            uploads,
        }
    }

    /// Runs the servers. Answers how many were killed.
    fn serve(&self, job: &Job, scratch: &TempDir) -> usize {
        let mut started = 0;
        let mut start = || {
            started += 1;
            self.start(job, scratch.path(), started)
        };
        let mut servers: Vec<Child> = (0..self.servers).map(|_| start()).collect();
        let mut kills = 0;
        while now() + 1_000_000_000 < job.until {
            std::thread::sleep(Duration::from_millis(fastrand::u64(200..1000)));
            let one = fastrand::choice(&mut servers).unwrap();
            if self.kills && one.try_wait().unwrap().is_none() {
                one.kill().unwrap();
                one.wait().unwrap();
                kills += 1;
                *one = start();
            }
        }
        for mut server in servers {
            let _ = server.wait();
        }
        kills
    }

    fn start(&self, job: &Job, scratch: &Path, id: u64) -> Child {
        let place = &job.place;
        let mut server = Command::new(&self.program);
        server
            .arg("serve")
            .args(["--database", &place.database, "--schema", &place.schema]);
        server
            .arg("--files")
            .arg(&place.files)
            .arg("--uploads")
            .arg(scratch.join("uploads"));
        server.arg("--log").arg(scratch.join(format!("logs/{id}")));
        server.args([
            "--id",
            &id.to_string(),
            "--begun",
            &job.begun.to_string(),
            "--until",
            &job.until.to_string(),
        ]);
        if self.naps {
            server.arg("--naps");
        }
        server.spawn().unwrap()
    }
}

impl Report {
    fn count(&mut self, calls: &[log::Call]) {
        self.calls = calls.len();
        for call in calls {
            match &call.ended {
                None => self.unknown += 1,
                Some((_, Answer::Refused(code))) if code == "OutcomeUnknown" => self.unknown += 1,
                Some((_, Answer::Refused(code))) if code == "ServiceUnavailable" => {
                    self.unavailable += 1;
                }
                Some((_, Answer::Refused(_))) => self.refused += 1,
                Some(_) => self.acknowledged += 1,
            }
        }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        format!(
            "{} calls: {} took effect, {} refused, {} cut off, {} unavailable; {} kills; {} wrong",
            self.calls,
            self.acknowledged,
            self.refused,
            self.unknown,
            self.unavailable,
            self.kills,
            self.wrong.len()
        )
    }
}
