package pulsar_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const maxMessageSize = 100_000

// A deed is what the fake does with a SEND.
type deed int

const (
	take   deed = iota // stores it and sends a receipt
	lose               // cuts the connection instead
	forget             // stores it and cuts the connection instead of the receipt
	ignore             // does nothing at all
	refuse             // sends an error that makes the client connect again
	unload             // closes the producer, as when a topic moves, and drops the message
)

// A fake is a broker in this process that speaks Pulsar's binary protocol as far as producers need it. What it has stored outlives
// its outages. It is no Pulsar: it says nothing about speed or durability.
type fake struct {
	t          testing.TB
	partitions int
	dedup      bool // drop what has a sequence id that is not above the last of its producer

	mu       sync.Mutex
	addr     string
	listener net.Listener
	conns    map[net.Conn]bool
	running  sync.WaitGroup
	log      []stored
	last     map[string]uint64   // sequence id by partition and producer, plus one
	open     map[string]*session // who has a producer of that name
	names    int
	deed     func(partition string, messages []stored) deed
	denied   string // the error that producers get
	pongs    int
}

func newFake(t testing.TB, partitions int) *fake {
	t.Helper()
	f := &fake{t: t, partitions: partitions, conns: make(map[net.Conn]bool), last: make(map[string]uint64), open: make(map[string]*session)}
	f.start()
	t.Cleanup(f.stop)
	return f
}

func (f *fake) start() {
	addr := f.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	require.NoError(f.t, err)
	f.mu.Lock()
	f.listener, f.addr = listener, listener.Addr().String()
	f.mu.Unlock()
	f.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns[conn] = true
			f.mu.Unlock()
			f.running.Go(func() { f.serve(conn) })
		}
	})
}

// stop ends the broker; what it has stored stays.
func (f *fake) stop() {
	f.mu.Lock()
	_ = f.listener.Close()
	for conn := range f.conns {
		_ = conn.Close()
	}
	f.mu.Unlock()
	f.running.Wait()
}

func (f *fake) outage(testing.TB) func() {
	f.stop()
	var once sync.Once
	return func() { once.Do(f.start) }
}

func (f *fake) url() string { return "pulsar://" + f.addr }

// on has a function decide what is done with each SEND; nil takes all.
func (f *fake) on(decide func(partition string, messages []stored) deed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deed = decide
}

// deny answers requests for producers with an error; empty allows them.
func (f *fake) deny(reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.denied = reason
}

func (f *fake) messages() []stored {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]stored(nil), f.log...)
}

// A session is one connection.
type session struct {
	fake   *fake
	conn   net.Conn
	topics map[uint64]string // by producer id
	names  map[uint64]string
}

func (f *fake) serve(conn net.Conn) {
	defer func() {
		f.mu.Lock() // and the names are free before the client knows
		delete(f.conns, conn)
		for of, session := range f.open {
			if session.conn == conn {
				delete(f.open, of)
			}
		}
		f.mu.Unlock()
		_ = conn.Close()
	}()
	s := &session{fake: f, conn: conn, topics: make(map[uint64]string), names: make(map[uint64]string)}
	from := bufio.NewReader(conn)
	for {
		cmd, rest, err := readFrame(from)
		if err != nil || !s.handle(cmd, rest) {
			return
		}
	}
}

// say sends a command; the connection is over when that fails, and the next read says so.
func (s *session) say(format string, args ...any) bool {
	_, err := s.conn.Write(command(format, args...))
	return err == nil
}

// handle answers a command, and returns false to end the connection.
func (s *session) handle(cmd record, rest []byte) bool {
	switch kind := cmd.kind(); kind {
	case "CONNECT":
		return s.say("type: CONNECTED connected { server_version: 'fake' protocol_version: 19 max_message_size: %d }", maxMessageSize) &&
			s.say("type: PING ping { }")
	case "PING":
		return s.say("type: PONG pong { }")
	case "PONG":
		s.fake.mu.Lock()
		defer s.fake.mu.Unlock()
		s.fake.pongs++
		return true
	case "PARTITIONED_METADATA":
		s.fake.mu.Lock()
		partitions := s.fake.partitions
		s.fake.mu.Unlock()
		if partitions == 1 {
			partitions = 0 // what an ordinary topic has
		}
		return s.say("type: PARTITIONED_METADATA_RESPONSE partitionMetadataResponse { partitions: %d request_id: %d response: Success }",
			partitions, cmd.sub("partitionMetadata").number("request_id"))
	case "LOOKUP":
		return s.say("type: LOOKUP_RESPONSE lookupTopicResponse { brokerServiceUrl: %q response: Connect request_id: %d authoritative: true }",
			s.fake.url(), cmd.sub("lookupTopic").number("request_id"))
	case "PRODUCER":
		return s.open(cmd.sub("producer"))
	case "CLOSE_PRODUCER":
		closing := cmd.sub("close_producer")
		s.fake.mu.Lock()
		s.forget(closing.number("producer_id"))
		s.fake.mu.Unlock()
		return s.say("type: SUCCESS success { request_id: %d }", closing.number("request_id"))
	case "SEND":
		return s.take(cmd.sub("send"), rest)
	default:
		s.fake.t.Errorf("the fake knows no command %s", kind)
		return false
	}
}

func (s *session) open(producer record) bool {
	f := s.fake
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.denied != "" {
		return s.say("type: ERROR error { request_id: %d error: %s message: 'denied' }", producer.number("request_id"), f.denied)
	}
	topic, name := producer.text("topic"), producer.text("producer_name")
	if name == "" {
		f.names++
		name = fmt.Sprintf("fake-%d", f.names)
	}
	if f.open[topic+"/"+name] != nil {
		return s.say("type: ERROR error { request_id: %d error: ProducerBusy message: 'there is one' }", producer.number("request_id"))
	}
	f.open[topic+"/"+name] = s
	id := producer.number("producer_id")
	s.topics[id], s.names[id] = topic, name
	return s.say("type: PRODUCER_SUCCESS producer_success { request_id: %d producer_name: %q last_sequence_id: %d }",
		producer.number("request_id"), name, int64(f.last[topic+"/"+name])-1)
}

// forget closes a producer. The lock is held.
func (s *session) forget(id uint64) {
	delete(s.fake.open, s.topics[id]+"/"+s.names[id])
	delete(s.topics, id)
}

func (s *session) take(send record, data []byte) bool {
	f := s.fake
	producer, sequence := send.number("producer_id"), send.number("sequence_id")
	partition, ok := s.topics[producer]
	if !ok {
		return true // of a producer that was closed: brokers pass over it
	}
	messages, err := messagesOf(data)
	if err != nil || len(messages) == 0 || uint64(len(messages)) != send.number("num_messages") || messages[0].batch != sequence {
		f.t.Errorf("the fake got a bad batch: %v", err)
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	what := take
	if f.deed != nil {
		what = f.deed(partition, messages)
	}
	switch what {
	case take, forget:
	case lose:
		return false
	case ignore:
		return true
	case refuse:
		return s.say("type: SEND_ERROR send_error { producer_id: %d sequence_id: %d error: PersistenceError message: 'no' }", producer, sequence)
	case unload:
		s.forget(producer)
		return s.say("type: CLOSE_PRODUCER close_producer { producer_id: %d request_id: 1 }", producer)
	}
	f.store(partition, messages)
	return what != forget &&
		s.say("type: SEND_RECEIPT send_receipt { producer_id: %d sequence_id: %d message_id { ledgerId: 1 entryId: %d } }", producer, sequence, len(f.log))
}

// store keeps messages, unless they are repeats. The lock is held.
func (f *fake) store(partition string, messages []stored) {
	from := partition + "/" + messages[0].producer
	if f.dedup && messages[0].batch < f.last[from] {
		return
	}
	f.last[from] = messages[0].batch + 1
	for _, m := range messages {
		m.partition = partition[strings.LastIndexByte(partition, '/')+1:]
		f.log = append(f.log, m)
	}
}

const patience = time.Minute
