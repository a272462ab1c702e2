"""nginx's configuration: which files it reads, what it refuses, and the values that hold in each location."""
