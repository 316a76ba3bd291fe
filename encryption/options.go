package encryption

import (
	"errors"
	"fmt"
	"time"
)

// An Option configures an [AESEncryptor]. Of two for the same thing the last one wins. What is wrong with the options is
// reported by [AESEncryptor.Check] and by every other call.
type Option interface{ apply(c *config) }

type optionFunc func(c *config)

func (f optionFunc) apply(c *config) { f(c) }

const (
	defaultCacheSize    = 16_384
	defaultCacheTime    = time.Minute
	defaultKeyTimeout   = 5 * time.Second
	defaultMessageLimit = 1 << 30
	maxMessageLimit     = 1 << 32
)

type config struct {
	wrapper      Wrapper // nil: data keys are stored as they are
	cacheSize    int
	cacheTime    time.Duration
	keyTimeout   time.Duration
	messageLimit int64
	openOnly     bool
}

func newConfig(opts []Option) config {
	c := config{
		cacheSize:    defaultCacheSize,
		cacheTime:    defaultCacheTime,
		keyTimeout:   defaultKeyTimeout,
		messageLimit: defaultMessageLimit,
	}
	for _, opt := range opts {
		if opt != nil {
			opt.apply(&c)
		}
	}
	return c
}

func (c *config) validate() error {
	var problems []error
	if c.cacheSize < 1 {
		problems = append(problems, fmt.Errorf("encryption: cache size %d is below one", c.cacheSize))
	}
	if c.cacheTime <= 0 {
		problems = append(problems, fmt.Errorf("encryption: cache time %v is not above zero", c.cacheTime))
	}
	if c.keyTimeout <= 0 {
		problems = append(problems, fmt.Errorf("encryption: key timeout %v is not above zero", c.keyTimeout))
	}
	if c.messageLimit < 1 || c.messageLimit > maxMessageLimit {
		problems = append(problems, fmt.Errorf("encryption: message limit %d is not between 1 and 2^32", c.messageLimit))
	}
	return errors.Join(problems...)
}

// WithWrapper wraps data keys with a master key before they are stored. Without one they are stored as they are: whoever
// can read the key store can read everything that was not erased, so it serves erasure and nothing else. Keys that were
// stored without a wrapper stay readable with one; [RewrapKeys] wraps them.
func WithWrapper(wrapper Wrapper) Option {
	return optionFunc(func(c *config) { c.wrapper = wrapper })
}

// WithCacheSize bounds how many entities' keys are kept in memory, at about 2 KB each. A record of another entity costs a
// read of the key store, and an unwrapping. The default is 16,384; n below one is refused.
func WithCacheSize(n int) Option {
	return optionFunc(func(c *config) { c.cacheSize = n })
}

// WithCacheTime bounds how long what was read of an entity's keys is used before it is read again: how long after an
// erasure, or a rotation, another process may still use the old keys. The default is one minute; d <= 0 is refused.
func WithCacheTime(d time.Duration) Option {
	return optionFunc(func(c *config) { c.cacheTime = d })
}

// WithKeyTimeout bounds what a call waits for the key store and the wrapper together. The default is 5 seconds; d <= 0 is
// refused.
func WithKeyTimeout(d time.Duration) Option {
	return optionFunc(func(c *config) { c.keyTimeout = d })
}

// WithMessageLimit sets after how many messages a process takes a new message key, see the package documentation. The
// default is 2^30; n below one and above 2^32 is refused.
func WithMessageLimit(n int64) Option {
	return optionFunc(func(c *config) { c.messageLimit = n })
}

// WithoutSealing leaves new records plain, and opens those that are sealed. It is how encryption is turned off.
func WithoutSealing() Option {
	return optionFunc(func(c *config) { c.openOnly = true })
}
