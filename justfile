# What is worth doing, by name. `just` alone lists it.

_list:
    @just --list

# All that a change must pass. Installs nothing, and says what it skips
check:
    .ci/check

# Installs what `check` looks for
setup:
    .ci/setup

# What CI runs: both
ci:
    .ci/run

# The tests of the crate
test *ARGS:
    cargo test {{ ARGS }}

# All tests of all packages
test-all:
    cargo test
    cargo test --workspace --exclude partstore --features crash/peers

# Takes the steps of the engine away, one at a time: the suites must notice. Or those that are named, or --sample N --seed S
mutations *ARGS:
    testing/mutations/run {{ ARGS }}

# Kills servers of one cluster store for MINUTES, and checks what they answered: just cluster-torture 10 --naps
cluster-torture MINUTES *ARGS:
    cargo run -p cluster-torture -- run --minutes {{ MINUTES }} {{ ARGS }}

# Takes the steps of the cluster's protocol away, one at a time: a run or a schedule must notice
cluster-sabotage *ARGS:
    cargo run -p cluster-torture -- sabotage {{ ARGS }}

# All criterion benchmarks, or those whose names hold ARGS
bench *ARGS:
    cargo bench -p partstore-bench -p md5-lanes {{ ARGS }}

# Fuzzes one target (needs a nightly toolchain and cargo-fuzz): just fuzz TARGET 60
fuzz TARGET SECONDS="60":
    cargo +nightly fuzz run {{ TARGET }} -- -max_total_time={{ SECONDS }}

# All unsafe code, under Miri (needs a nightly toolchain with it): first the lanes, then what there is without AVX2
miri:
    RUSTFLAGS="-C target-feature=+avx2" cargo +nightly miri test -p md5-lanes --lib
    cargo +nightly miri test -p md5-lanes --lib

# How fast parts come in, beside the floors of the same run
bench-ingest *ARGS:
    cargo run --release -p partstore-bench -- ingest {{ ARGS }}

# Server, clients of both protocols, kills, full disks and backups together for HOURS; target/soak has the figures and the picture
soak HOURS *ARGS:
    cargo build --release -p partstore-server -p partstore-cli
    cargo run --release -p soak -- {{ HOURS }} {{ ARGS }}

# How long a store of so many million parts takes to open, and what it takes on disk: just scale 10
scale MILLIONS *ARGS:
    RUSTFLAGS='--cfg fuzzing' cargo run --release -p scale --target-dir target/scale -- run {{ MILLIONS }} {{ ARGS }}

# What single calls cost, and how much memory they take: just bench-figures quick
bench-figures *ARGS:
    cargo run --release -p partstore-bench -- figures {{ ARGS }}

# Parts through the server, beside the store called directly
bench-server *ARGS:
    cargo run --release -p partstore-bench -- server {{ ARGS }}

# Puts beside other stores
bench-peers *ARGS:
    cargo run --release -p partstore-bench -- peers {{ ARGS }}

# The cluster's tests, on a PostgreSQL server of their own in DIR
test-cluster DIR="/tmp/partstore-postgres" PORT="5439":
    PARTSTORE_PG=$(testing/postgres/start {{ DIR }} {{ PORT }}) PROPTEST_CASES=16 cargo test -p partstore-cluster -- --test-threads 6

# A database, two servers on it, and an upload that begins at one and ends at the other
cluster-demo:
    testing/postgres/demo

# Every table of docs/performance.md, on the file system that holds DIR; the machine must be idle
measure DIR:
    cargo run --release -p partstore-bench -- ingest --rounds 3 --dir {{ DIR }}
    cargo run --release -p partstore-bench -- figures all --dir {{ DIR }}
    cargo run --release -p partstore-bench -- server --dir {{ DIR }}
    cargo run --release -p partstore-bench -- peers --dir {{ DIR }}

# Once a week: the program with the other stores still builds. It has a lock file of its own.
check-peers:
    cargo clippy --locked --manifest-path bench/peers/Cargo.toml --all-targets -- -D warnings

# 1,000,000 crash states and 1,000 kills, or what MINUTES hold: just crash-long 600 1; docs/reliability.md has what was run
crash-long MINUTES="600" SEED="1":
    cargo run -p crash -- states --states 1000000 --every-sequence --minutes {{ MINUTES }} --seed {{ SEED }}
    PARTSTORE_KILLS=1000 PARTSTORE_SEED={{ SEED }} cargo test -p partstore --test it -- --nocapture many_kills

# The documentation, in a browser
doc:
    cargo doc --no-deps --open

# Uploads a file, or one that is made, and reads it back
upload *ARGS:
    cargo run --release --example upload -- {{ ARGS }}

# An HTTP server with the protocol of Tencent COS: just server --data DIR
server *ARGS:
    cargo run --release -p partstore-server -- {{ ARGS }}
