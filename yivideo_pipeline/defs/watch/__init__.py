"""The sensor on the library's roots: new videos become partitions and runs by themselves."""
