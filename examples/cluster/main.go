// Cluster is one node of a bank with an HTTP front. Start as many as you like: every node takes every request, whichever of
// them has the account. `make cluster` starts three.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/tochemey/goakt/v3/discovery"
	"github.com/tochemey/goakt/v3/discovery/dnssd"
	"github.com/tochemey/goakt/v3/discovery/static"

	"github.com/actorkeep/ego/examples/cluster/node"
)

func main() {
	var s node.Settings
	flag.StringVar(&s.HTTP, "http", "127.0.0.1:8080", "address of the HTTP front")
	flag.StringVar(&s.Host, "host", "127.0.0.1", "address at which the other nodes reach this one")
	flag.IntVar(&s.Port, "port", 7000, "the first of three ports that follow each other")
	peers := flag.String("peers", "127.0.0.1:7001", "gossip addresses of all nodes: the port after their first")
	dns := flag.String("dns", "", "a name whose addresses are those of all nodes, instead of -peers; their ports are the same")
	flag.IntVar(&s.Quorum, "quorum", 1, "live nodes that a node must see to work: more than half")
	flag.StringVar(&s.Store, "store", "cluster.db", "a SQLite file for nodes on one machine, or a postgres:// URL; env: what the variable STORE says")
	flag.Parse()
	if s.Store == "env" { // a URL with a password is not for the list of processes
		s.Store = os.Getenv("STORE")
	}
	var provider discovery.Provider = static.NewDiscovery(&static.Config{Hosts: strings.Split(*peers, ",")})
	if *dns != "" {
		provider = dnssd.NewDiscovery(&dnssd.Config{DomainName: *dns})
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := node.Run(ctx, &s, provider)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}
