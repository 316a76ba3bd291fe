package main

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the manifests of Kubernetes start works on a network where every pod has an address that is its own until it ends, and
// where pods find each other by a name: they come one by one, are ready once they are two, and are replaced.
func TestPods(t *testing.T) { //nolint:paralleltest // its processes are enough
	p := newPods(t)
	if p == nil {
		return
	}
	status := func(expected int) func(int, map[string]any) bool {
		return func(status int, _ map[string]any) bool { return status == expected }
	}
	members := func(expected int) func(int, map[string]any) bool {
		return func(status int, body map[string]any) bool {
			listed, _ := body["Members"].([]any)
			return status == http.StatusOK && len(listed) == expected
		}
	}

	first := p.start()
	p.await(first, "/live", status(http.StatusNoContent))
	p.await(first, "/health", status(http.StatusServiceUnavailable)) // one of three is no quorum
	second := p.start()
	p.await(first, "/health", status(http.StatusNoContent))
	p.await(second, "/health", status(http.StatusNoContent))
	third := p.start()
	for _, each := range []*pod{first, second, third} {
		p.await(each, "/topology", members(3))
	}
	require.Positive(t, p.names.questions(), "the nodes were found by their name")

	const accounts = 12
	for i := range accounts {
		code, _ := p.ask(first, http.MethodPost, fmt.Sprintf("/accounts/a-%d?owner=Alice", i), fmt.Sprint("open-", i))
		require.Equal(t, http.StatusOK, code)
	}
	deposited := 0
	deposit := func(at ...*pod) {
		t.Helper()
		deposited += 10
		for i := range accounts {
			path, key := fmt.Sprintf("/accounts/a-%d/credit?amount=10", i), fmt.Sprint("credit-", deposited)
			for _, d := range at { // once, whoever is asked again
				code, body := p.ask(d, http.MethodPost, path, key)
				require.Equal(t, http.StatusOK, code, body)
				require.EqualValues(t, deposited, body["balance"])
			}
		}
	}
	deposit(first, second, third)

	second.kill()
	p.list(first, third)
	deposit(first, third)
	fourth := p.start()
	for _, each := range []*pod{first, third, fourth} {
		p.await(each, "/topology", members(3))
	}
	deposit(fourth, first)

	for _, old := range []*pod{first, third} { // a rolling update
		p.list(without(p.listed, old)...)
		old.terminate()
		deposit(fourth)
		p.start()
		for _, each := range p.listed {
			p.await(each, "/topology", members(3))
		}
		deposit(p.listed...)
	}
}

func without(all []*pod, one *pod) (rest []*pod) {
	for _, d := range all {
		if d != one {
			rest = append(rest, d)
		}
	}
	return rest
}
