// Package netns lets tests of a cluster run their processes on a network of their own: every process in a Linux network
// namespace with an address, all of them plugged to one bridge, from which they can be cut off. It needs root.
package netns
