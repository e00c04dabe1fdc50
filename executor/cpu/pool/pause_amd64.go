package pool

// pause tells the CPU that it spins: about 20 to 60 ns in which the thread
// leaves the core to its neighbour.
func pause()
