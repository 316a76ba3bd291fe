package egoactor

// growStack makes the stack of the calling goroutine large enough for a command in one step. GoAkt runs every burst of
// messages on a new goroutine; left alone, its stack would double several times, each time below deeper frames. The room
// is part of the frame but never touched: only the check for it at the start of the function counts.
//
//go:noinline
func growStack(touch int) byte {
	if touch == 0 {
		return 0
	}
	var room [6 << 10]byte
	room[touch&1023] = 1
	return room[touch>>1&1023]
}
