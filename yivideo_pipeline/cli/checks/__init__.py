"""What `yivideo doctor` looks at, one function each."""
