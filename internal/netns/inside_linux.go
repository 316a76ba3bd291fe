package netns

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Inside calls a function that makes sockets, which are then at [Gateway] on the network. The function must make them itself
// and not let another goroutine do it.
func (n *Network) Inside(do func() error) error {
	network, err := os.Open("/var/run/netns/" + n.name)
	if err != nil {
		return err
	}
	defer network.Close()
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		// A thread that stays there is not given back. It is not ended without need: with it would end the processes that
		// it has started and that are to end with their parent.
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return do()
}
