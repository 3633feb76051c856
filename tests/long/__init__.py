"""Random cases for as long as you like: `./test --long MINUTES [--seed SEED] [NAME...]`. What was run stands in docs/long-runs.md."""
