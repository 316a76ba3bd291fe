package egoactor

// growStack makes the stack of the calling goroutine large enough for a command in one step. GoAkt runs every burst of
// messages on a new goroutine; left alone, its stack would double several times, each time below deeper frames.
//
//go:noinline
func growStack(i int) byte {
	var room [10 << 10]byte
	return room[i&1023]
}
