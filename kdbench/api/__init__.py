"""What a notebook and the command line call: run a suite, load what was run, use a trained student."""
