package adaptertest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/actorkeep/ego/eventadapter"
)

// file is a golden file.
type file struct {
	TypeURL       string            `json:"type_url"`
	SchemaVersion uint32            `json:"schema_version"`
	Value         []byte            `json:"value"`    // as it was stored
	OpensAs       []json.RawMessage `json:"opens_as"` // google.protobuf.Any in JSON
}

func read(name string) (*file, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f := new(file)
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	return f, decoder.Decode(f)
}

func (f *file) write(name string) error {
	content, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	return os.WriteFile(name, append(content, '\n'), 0o600)
}

// expect writes down what the event becomes today.
func (f *file) expect(chain *eventadapter.Chain) error {
	messages, err := f.open(chain)
	if err != nil {
		return err
	}
	f.OpensAs = make([]json.RawMessage, len(messages))
	for i, message := range messages {
		packed, err := anypb.New(message)
		if err != nil {
			return err
		}
		if f.OpensAs[i], err = protojson.Marshal(packed); err != nil {
			return err
		}
	}
	return nil
}

// want returns what the file says.
func (f *file) want() ([]proto.Message, error) {
	messages := make([]proto.Message, len(f.OpensAs))
	for i, text := range f.OpensAs {
		packed := new(anypb.Any)
		if err := protojson.Unmarshal(text, packed); err != nil {
			return nil, err
		}
		var err error
		if messages[i], err = packed.UnmarshalNew(); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// texts returns messages as a reader wants to see them.
func texts(messages []proto.Message) string {
	parts := make([]string, len(messages))
	for i, message := range messages {
		parts[i] = string(message.ProtoReflect().Descriptor().FullName()) + "{" + prototext.MarshalOptions{}.Format(message) + "}"
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
