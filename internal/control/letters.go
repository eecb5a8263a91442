package control

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/delivery"
)

// Letters are the dead letters of a pipeline: in this process, or in another one.
type Letters interface {
	List(context.Context) ([]Letter, error)
	// Get returns a letter and its record, as package record has it.
	Get(ctx context.Context, sequence uint64) (Letter, []byte, error)
	// Drop and DropAll are as of delivery.DeadLetters.
	Drop(ctx context.Context, sequences ...uint64) error
	DropAll(context.Context) (int, error)
}

// Letter is a dead letter without its record.
type Letter struct {
	ID          ID        `json:"id"`
	Pipeline    string    `json:"pipeline"`
	Time        time.Time `json:"time"`
	Destination string    `json:"destination"`
	Items       uint64    `json:"items"`
	Bytes       int       `json:"bytes"`
	Code        string    `json:"code"`
	Reason      string    `json:"reason"`
}

// ID names a dead letter of a storage. Its text is the pipeline, a slash, and the
// sequence.
type ID struct {
	Pipeline string
	Sequence uint64
}

// ParseID reads the text of an ID.
func ParseID(text string) (ID, error) {
	at := strings.LastIndexByte(text, '/')
	sequence, err := strconv.ParseUint(text[at+1:], 10, 64)
	if at < 1 || err != nil {
		return ID{}, fmt.Errorf("read the id %q of a dead letter: expected pipeline/number, such as traces/17", text)
	}
	return ID{text[:at], sequence}, nil
}

func (id ID) String() string { return id.Pipeline + "/" + strconv.FormatUint(id.Sequence, 10) }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// local are letters that this process has open.
type local struct {
	pipeline string
	*delivery.DeadLetters
}

func (l local) letter(s delivery.StoredLetter) Letter {
	return Letter{ID: ID{l.pipeline, s.Sequence}, Pipeline: l.pipeline, Time: s.Time, Destination: s.Destination, Items: s.Items,
		Bytes: len(s.Record), Code: codes.Code(s.Code).String(), Reason: s.Reason}
}

// List implements Letters.
func (l local) List(ctx context.Context) ([]Letter, error) {
	list := []Letter{} // as JSON, an empty list is not null
	err := l.DeadLetters.List(ctx, func(s delivery.StoredLetter) bool {
		list = append(list, l.letter(s))
		return true
	})
	return list, err
}

// Get implements Letters.
func (l local) Get(ctx context.Context, sequence uint64) (Letter, []byte, error) {
	s, err := l.DeadLetters.Get(ctx, sequence)
	return l.letter(s), s.Record, err
}
