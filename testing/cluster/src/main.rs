//! Tortures a store of the cluster engine: see `testing/README.md`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use cluster_torture::run::Settings;
use cluster_torture::sabotage::{ALL, Sabotage};
use cluster_torture::schedules;
use cluster_torture::server::{Job, Pace, Place, read_uploads, serve};

/// Kills and restarts servers of one store, and checks what they answered. `PARTSTORE_PG` names the database.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs servers for so long.
    Run(Run),
    /// Takes the steps of the protocol away, one at a time, and prints who has noticed.
    Sabotage {
        /// Seconds of each run.
        #[arg(long, default_value_t = 12)]
        seconds: u64,
        /// Only those whose names hold this.
        #[arg(default_value = "")]
        named: String,
    },
    #[command(hide = true)]
    Serve(Serve),
}

#[derive(Args)]
struct Run {
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    #[arg(long, default_value_t = 4)]
    servers: u64,
    /// The functions of the database nap between their statements.
    #[arg(long)]
    naps: bool,
    /// Without this step.
    #[arg(long)]
    without: Option<String>,
}

#[derive(Args)]
struct Serve {
    #[arg(long)]
    database: String,
    #[arg(long)]
    schema: String,
    #[arg(long)]
    files: PathBuf,
    #[arg(long)]
    uploads: PathBuf,
    #[arg(long)]
    log: PathBuf,
    #[arg(long)]
    id: u64,
    #[arg(long)]
    begun: u64,
    #[arg(long)]
    until: u64,
    #[arg(long)]
    naps: bool,
}

fn main() -> ExitCode {
    let is_good = match Arguments::parse().command {
        Command::Run(run) => run.run(),
        Command::Sabotage { seconds, named } => sabotage(Duration::from_secs(seconds), &named),
        Command::Serve(server) => server.serve(),
    };
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn settings() -> Settings {
    let database = std::env::var("PARTSTORE_PG").expect("PARTSTORE_PG names a PostgreSQL database");
    Settings::new(
        std::env::current_exe().expect("a program has a path"),
        &database,
    )
}

impl Run {
    fn run(self) -> bool {
        let report = Settings {
            length: Duration::from_secs_f64(self.minutes * 60.0),
            servers: self.servers,
            naps: self.naps,
            sabotage: self
                .without
                .map(|name| Sabotage::find(&name).expect("there is no such step")),
            ..settings()
        }
        .run();
        println!("{}", report.line());
        for wrong in &report.wrong {
            println!("wrong: {wrong}");
        }
        report.wrong.is_empty()
    }
}

/// A schedule is quicker than a run, so it is asked first.
fn sabotage(length: Duration, named: &str) -> bool {
    let database = settings().database;
    let mut all = true;
    println!("| without | noticed by |\n|---|---|");
    for one in ALL.iter().filter(|one| one.name.contains(named)) {
        let noticed = noticed_by_schedules(&database, Some(one)).or_else(|| {
            let run = Settings {
                length,
                naps: true,
                sabotage: Some(one),
                ..settings()
            };
            let report = run.run();
            report.wrong.first().map(|_| "the run with naps".to_owned())
        });
        all &= noticed.is_some();
        println!(
            "| {} | {} |",
            one.name,
            noticed.as_deref().unwrap_or("nothing")
        );
    }
    all
}

/// Those that find something wrong. They are played at the same time.
fn noticed_by_schedules(database: &str, sabotage: Option<&'static Sabotage>) -> Option<String> {
    let found: Vec<_> = std::thread::scope(|scope| {
        let playing = schedules::ALL
            .iter()
            .map(|one| (one, scope.spawn(move || one.play(database, sabotage))));
        let playing: Vec<_> = playing.collect();
        playing
            .into_iter()
            .filter_map(|(one, play)| {
                play.join()
                    .expect("a schedule plays to its end")
                    .map(|_| one.name)
            })
            .collect()
    });
    (!found.is_empty()).then(|| found.join("; "))
}

impl Serve {
    fn serve(self) -> bool {
        let place = Place {
            database: self.database,
            schema: self.schema,
            files: self.files,
        };
        let uploads = read_uploads(&self.uploads);
        let job = Job {
            place,
            log: self.log,
            id: self.id,
            begun: self.begun,
            until: self.until,
            pace: Pace::new(self.naps),
            uploads,
        };
        let served = serve(&job);
        if let Err(error) = &served {
            eprintln!("server {}: {error}", self.id);
        }
        served.is_ok()
    }
}
