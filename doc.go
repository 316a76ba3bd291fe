// Package ego is an embeddable framework for event-sourced services.
package ego
