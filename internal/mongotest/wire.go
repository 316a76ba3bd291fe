package mongotest

import (
	"bytes"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"
)

// opQuery is the message with which drivers greet a server, and send nothing else any more.
const opQuery wiremessage.OpCode = 2004

var errNotUnderstood = errors.New("mongotest: a message that the proxy does not understand")

// readRequest returns the command of a message: an OP_MSG, or the OP_QUERY with which a client greets a server that it does
// not know yet. Sequences of documents, in which clients send what they insert, become arrays of the command.
func readRequest(message []byte) (id int32, command bson.D, err error) {
	_, id, _, code, rest, ok := wiremessage.ReadHeader(message)
	if !ok {
		return 0, nil, errNotUnderstood
	}
	switch code {
	case wiremessage.OpMsg:
		command, err = readMsg(rest)
	case opQuery:
		command, err = readQuery(rest)
	default:
		err = errNotUnderstood
	}
	return id, command, err
}

func readQuery(rest []byte) (command bson.D, err error) {
	const flags, places = 4, 8
	if len(rest) < flags {
		return nil, errNotUnderstood
	}
	_, rest, ok := bytes.Cut(rest[flags:], []byte{0}) // after the name of a collection
	if !ok || len(rest) < places {
		return nil, errNotUnderstood
	}
	return command, bson.Unmarshal(rest[places:], &command)
}

func readMsg(rest []byte) (command bson.D, err error) {
	flags, rest, ok := wiremessage.ReadMsgFlags(rest)
	if !ok {
		return nil, errNotUnderstood
	}
	if flags&wiremessage.ChecksumPresent != 0 {
		rest = rest[:len(rest)-4]
	}
	var sequences bson.D
	for len(rest) > 0 {
		var kind wiremessage.SectionType
		if kind, rest, ok = wiremessage.ReadMsgSectionType(rest); !ok {
			return nil, errNotUnderstood
		}
		if kind == wiremessage.SingleDocument {
			var document bsoncore.Document
			if document, rest, ok = wiremessage.ReadMsgSectionSingleDocument(rest); !ok {
				return nil, errNotUnderstood
			}
			if err := bson.Unmarshal(document, &command); err != nil {
				return nil, err
			}
			continue
		}
		var name string
		var documents []bsoncore.Document
		if name, documents, rest, ok = wiremessage.ReadMsgSectionDocumentSequence(rest); !ok {
			return nil, errNotUnderstood
		}
		list := make(bson.A, len(documents))
		for i, document := range documents {
			list[i] = bson.Raw(document)
		}
		sequences = append(sequences, bson.E{Key: name, Value: list})
	}
	return append(command, sequences...), nil
}

// readAnswer returns the document of an answer, an OP_MSG or the OP_REPLY to an OP_QUERY.
func readAnswer(message []byte) (to int32, answer bson.D, err error) {
	_, _, to, code, rest, ok := wiremessage.ReadHeader(message)
	if !ok {
		return 0, nil, errNotUnderstood
	}
	if code == wiremessage.OpMsg {
		answer, err = readMsg(rest)
		return to, answer, err
	}
	const fixed = 4 + 8 + 4 + 4 // flags, cursor, first, count
	if code != wiremessage.OpReply || len(rest) < fixed {
		return 0, nil, errNotUnderstood
	}
	document, _, ok := wiremessage.ReadReplyDocument(rest[fixed:])
	if !ok {
		return 0, nil, errNotUnderstood
	}
	return to, answer, bson.Unmarshal(document, &answer)
}

// writeMsg makes an OP_MSG of a document.
func writeMsg(id, to int32, document any) ([]byte, error) {
	body, err := bson.Marshal(document)
	if err != nil {
		return nil, err
	}
	start, message := wiremessage.AppendHeaderStart(nil, id, to, wiremessage.OpMsg)
	message = wiremessage.AppendMsgFlags(message, 0)
	message = wiremessage.AppendMsgSectionType(message, wiremessage.SingleDocument)
	message = append(message, body...)
	return bsoncore.UpdateLength(message, start, int32(len(message))), nil //nolint:gosec // a message has at most 48 MB
}

// writeReply makes the OP_REPLY to an OP_QUERY of a document.
func writeReply(to int32, document any) ([]byte, error) {
	body, err := bson.Marshal(document)
	if err != nil {
		return nil, err
	}
	start, message := wiremessage.AppendHeaderStart(nil, 0, to, wiremessage.OpReply)
	message = wiremessage.AppendReplyFlags(message, 0)
	message = wiremessage.AppendReplyCursorID(message, 0)
	message = wiremessage.AppendReplyStartingFrom(message, 0)
	message = wiremessage.AppendReplyNumberReturned(message, 1)
	message = append(message, body...)
	return bsoncore.UpdateLength(message, start, int32(len(message))), nil //nolint:gosec // a message has at most 48 MB
}

// isQuery reports whether a message is an OP_QUERY, whose answer is an OP_REPLY.
func isQuery(message []byte) bool {
	_, _, _, code, _, ok := wiremessage.ReadHeader(message)
	return ok && code == opQuery
}
