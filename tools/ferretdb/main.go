// Command ferretdb serves the protocol of MongoDB from SQLite files in a directory, for tests:
//
//	ferretdb DIRECTORY [ADDRESS]
//
// It prints its connection string and runs until it is told to end. The address is a free port of the loopback interface
// unless it is given. It is FerretDB as a library, whose own command cannot be built from its module.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 1 || len(args) > 2 {
		return fmt.Errorf("want a directory and perhaps an address, not %q", args)
	}
	directory, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	address := "127.0.0.1:0"
	if len(args) > 1 {
		address = args[1]
	}
	server, err := ferretdb.New(&ferretdb.Config{
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Handler:   "sqlite",
		SQLiteURL: "file:" + directory + "/",
		Listener:  ferretdb.ListenerConfig{TCP: address},
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { fmt.Println(server.MongoDBURI()) }() // known once it listens
	return server.Run(ctx)
}
