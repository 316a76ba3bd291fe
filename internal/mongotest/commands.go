package mongotest

import (
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A Command is what a client asks of a server, with all that the driver has added.
type Command bson.D

// Name returns what is asked for, such as insert.
func (c Command) Name() string {
	if len(c) == 0 {
		return ""
	}
	return c[0].Key
}

// Collection returns the collection that the command is for; empty when it is for none.
func (c Command) Collection() string {
	for _, field := range []string{"collection", c.Name()} { // getMore has the cursor first
		if name, ok := c.Get(field).(string); ok {
			return name
		}
	}
	return ""
}

// Get returns a field of a field and so on, nil when there is none.
func (c Command) Get(names ...string) any {
	var value any = bson.D(c)
	for _, name := range names {
		document, ok := value.(bson.D)
		if !ok {
			return nil
		}
		i := slices.IndexFunc(document, func(e bson.E) bool { return e.Key == name })
		if i < 0 {
			return nil
		}
		value = document[i].Value
	}
	return value
}

// Without returns the command without some fields.
func (c Command) Without(names ...string) Command {
	return slices.DeleteFunc(slices.Clone(c), func(e bson.E) bool { return slices.Contains(names, e.Key) })
}

// Is reports whether the command is one of a name for a collection.
func (c Command) Is(name, collection string) bool {
	return c.Name() == name && c.Collection() == collection
}

func (c Command) String() string { return fmt.Sprint(bson.D(c)) }

// IsGreeting reports whether the command asks a server what it is.
func (c Command) IsGreeting() bool {
	return slices.Contains([]string{"hello", "isMaster", "ismaster"}, c.Name())
}

// A Verdict says what becomes of a command. The zero Verdict lets it through.
type Verdict struct {
	Answer bson.D                     // answer to give, and the server hears nothing
	Send   Command                    // command to send in place of this one
	Change func(answer bson.D) bson.D // changes the answer of the server, which has done what it was asked for
}

// Failure is the answer of a server that has not done what it was asked for.
func Failure(code int32, name string, labels ...string) bson.D {
	answer := bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: name}, {Key: "code", Value: code}, {Key: "codeName", Value: name}}
	if len(labels) > 0 {
		answer = append(answer, bson.E{Key: "errorLabels", Value: labels})
	}
	return answer
}

// Fails answers a command in place of the server, which hears nothing of it.
func Fails(code int32, name string, labels ...string) Verdict {
	return Verdict{Answer: Failure(code, name, labels...)}
}

// FailsWhenDone has the server do what it was asked for and then say that it has failed.
func FailsWhenDone(code int32, name string, labels ...string) Verdict {
	return Verdict{Change: func(bson.D) bson.D { return Failure(code, name, labels...) }}
}

// NotMajority has the server do what it was asked for, and say besides that a majority is not known to have it.
func NotMajority(code int32, name string) Verdict {
	return Verdict{Change: func(answer bson.D) bson.D {
		return Set(answer, "writeConcernError", bson.D{{Key: "code", Value: code}, {Key: "codeName", Value: name}, {Key: "errmsg", Value: name}})
	}}
}

// Set returns a document with a field set.
func Set(document bson.D, name string, value any) bson.D {
	document = slices.DeleteFunc(slices.Clone(document), func(e bson.E) bool { return e.Key == name })
	return append(document, bson.E{Key: name, Value: value})
}

// Judge has a function decide on every command that comes from now on, in place of one that did before; nil ends that. It is
// called by the connections at the same time and may wait, but not beyond the end of the test.
func (p *Proxy) Judge(judge func(c Command) Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge = judge
}

// judged has a request judged, and returns what is to be sent to the server: nil when the client is answered already.
func (l *link) judged(message []byte) ([]byte, error) {
	l.proxy.mu.Lock()
	judge := l.proxy.judge
	l.proxy.mu.Unlock()
	if judge == nil {
		return message, nil
	}
	id, body, err := readRequest(message)
	if err != nil {
		return nil, err
	}
	v := judge(Command(body))
	if v.Answer != nil {
		return nil, l.reply(id, isQuery(message), v.Answer)
	}
	if v.Change != nil {
		query := isQuery(message)
		l.mu.Lock()
		l.changes[id] = func(answer bson.D) error { return l.reply(id, query, v.Change(answer)) }
		l.mu.Unlock()
	}
	if v.Send == nil {
		return message, nil
	}
	return writeMsg(id, 0, bson.D(v.Send))
}

// reply answers the client.
func (l *link) reply(to int32, query bool, answer bson.D) error {
	write := func(to int32, document any) ([]byte, error) { return writeMsg(0, to, document) }
	if query {
		write = writeReply
	}
	message, err := write(to, answer)
	if err == nil {
		_, err = l.client.Write(message)
	}
	return err
}

// changed gives the client another answer than the server's, if that is what was decided.
func (l *link) changed(message []byte) (bool, error) {
	l.mu.Lock()
	waiting := len(l.changes) > 0
	l.mu.Unlock()
	if !waiting {
		return false, nil
	}
	to, answer, err := readAnswer(message)
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	change := l.changes[to]
	delete(l.changes, to)
	l.mu.Unlock()
	if change == nil {
		return false, nil
	}
	return true, change(answer)
}
