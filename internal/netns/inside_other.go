//go:build !linux

package netns

import "errors"

// Inside fails: there are no network namespaces.
func (n *Network) Inside(func() error) error { return errors.ErrUnsupported }
