"""`python -m benchmarks`: what Neiroha's speech path costs, beside a bare pass-through in the same run."""
