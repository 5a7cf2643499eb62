# What is worth doing, by name. `just` alone lists it.

_list:
    @just --list

# What CI runs
check:
    .ci/run

# All tests
test *ARGS:
    cargo test {{ ARGS }}

# All benchmarks, or those whose names hold ARGS
bench *ARGS:
    cargo bench {{ ARGS }}

# Fuzzes one target (needs a nightly toolchain and cargo-fuzz): just fuzz TARGET 60
fuzz TARGET SECONDS="60":
    cargo +nightly fuzz run {{ TARGET }} -- -max_total_time={{ SECONDS }}

# The documentation, in a browser
doc:
    cargo doc --no-deps --open

# Uploads a file, or one that is made, and reads it back
upload *ARGS:
    cargo run --release --example upload -- {{ ARGS }}
