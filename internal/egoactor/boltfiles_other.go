//go:build !unix

package egoactor

import "time"

// removeLeftFiles does nothing where locks of files do not end with their process.
func removeLeftFiles(time.Time) {}
