package publishchaos_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/actorkeep/ego/publisher"
	"github.com/actorkeep/ego/publisher/kafka"
	"github.com/actorkeep/ego/publisher/nats"
)

// A broker is a kind of broker, which runs in a process of its own.
type broker struct {
	// serve runs the broker on a port and a directory until the context ends.
	serve func(ctx context.Context, port int, dir string) error
	// prepare makes what the publishers need, once the broker answers.
	prepare func(ctx context.Context, addr string) error
	open    func(addr string) (publisher.EventPublisher, error)
	// arrivals returns all that the broker holds.
	arrivals func(ctx context.Context, addr string) ([]arrival, error)
}

var brokers = map[string]broker{
	"nats":  {serveNATS, prepareNATS, openNATS, arrivalsNATS},
	"kafka": {serveKafka, prepareKafka, openKafka, arrivalsKafka},
}

const stream = "EGO"

func serveNATS(ctx context.Context, port int, dir string) error {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir,
		SyncAlways: true, // or what is acknowledged may still be in the memory of the process that is killed
	})
	if err != nil {
		return err
	}
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// withNATS waits for the server.
func withNATS(ctx context.Context, addr string, do func(js jetstream.JetStream) error) error {
	for {
		conn, err := natsgo.Connect("nats://" + addr)
		if err != nil {
			if ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
			<-time.After(20 * time.Millisecond)
			continue
		}
		defer conn.Close()
		js, err := jetstream.New(conn)
		if err != nil {
			return err
		}
		return do(js)
	}
}

func prepareNATS(ctx context.Context, addr string) error {
	return withNATS(ctx, addr, func(js jetstream.JetStream) error {
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			// As short as the server allows, so that the broker does not hide repeats for long.
			Name: stream, Subjects: []string{"ego.>"}, Duplicates: 100 * time.Millisecond,
		})
		return err
	})
}

func openNATS(addr string) (publisher.EventPublisher, error) {
	return nats.NewEventPublisher(nats.Config{
		ID: publisherID, URL: "nats://" + addr, Options: []natsgo.Option{natsgo.ReconnectWait(50 * time.Millisecond)},
	})
}

func arrivalsNATS(ctx context.Context, addr string) (all []arrival, err error) {
	err = withNATS(ctx, addr, func(js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		left := s.CachedInfo().State.Msgs
		consumer, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
		if err != nil || left == 0 {
			return err
		}
		messages, err := consumer.Messages()
		if err != nil {
			return err
		}
		defer messages.Stop()
		for ; left > 0; left-- {
			m, err := messages.Next(jetstream.NextContext(ctx))
			if err != nil {
				return err
			}
			number, err := strconv.ParseUint(m.Headers().Get(publisher.HeaderNumber), 10, 64)
			if err != nil {
				return err
			}
			all = append(all, arrival{m.Headers().Get(publisher.HeaderEntity), number})
		}
		return nil
	})
	return all, err
}

const partitions = 3

func serveKafka(ctx context.Context, port int, dir string) error {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir), kfake.SyncWrites(),
		kfake.SeedTopics(partitions, kafka.DefaultEventTopic))
	if err != nil {
		return err
	}
	<-ctx.Done()
	c.Close()
	return nil
}

func prepareKafka(ctx context.Context, addr string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer client.Close()
	for client.Ping(ctx) != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func openKafka(addr string) (publisher.EventPublisher, error) {
	return kafka.NewEventPublisher(kafka.Config{ID: publisherID, Brokers: []string{addr}})
}

// arrivalsKafka marks the end of each partition, and reads until it has seen all the marks.
func arrivalsKafka(ctx context.Context, addr string) (all []arrival, err error) {
	const mark = "end"
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ConsumeTopics(kafka.DefaultEventTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for partition := range int32(partitions) {
		end := &kgo.Record{Topic: kafka.DefaultEventTopic, Partition: partition, Value: []byte(mark)}
		if err := client.ProduceSync(ctx, end).FirstErr(); err != nil {
			return nil, err
		}
	}
	for marks := 0; marks < partitions; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for _, r := range fetches.Records() {
			if len(r.Headers) == 0 && string(r.Value) == mark {
				marks++
				continue
			}
			a := arrival{entity: string(r.Key)}
			for _, h := range r.Headers {
				if h.Key == publisher.HeaderNumber {
					if a.number, err = strconv.ParseUint(string(h.Value), 10, 64); err != nil {
						return nil, err
					}
				}
			}
			all = append(all, a)
		}
	}
	return all, nil
}

// freePort returns a port that nobody listens on.
func freePort(ctx context.Context) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	addr, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, fmt.Errorf("%v is no TCP address", listener.Addr())
	}
	return addr.Port, nil
}
