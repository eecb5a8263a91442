package delivery

import (
	"context"
	"fmt"

	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// ToSender returns what Config.Next needs to send with s, which stays the caller's to
// close. Other than otlpclient.NewConsumer it leaves the number of rejected ones as the
// destination counts them, and returns a warning of a destination that took everything
// as a Partial that rejects nothing.
func ToSender(s otlpclient.Sender) pipeline.Consumer { return toSender{s} }

type toSender struct{ sender otlpclient.Sender }

// Capabilities implements pipeline.Consumer: bytes are sent as they are.
func (t toSender) Capabilities() pipeline.Capabilities {
	return otlpclient.NewConsumer(t.sender).Capabilities()
}

// Consume implements pipeline.Consumer.
func (t toSender) Consume(ctx context.Context, b *pipeline.Batch) error {
	a, err := otlpclient.SendBatch(ctx, t.sender, b)
	if err != nil {
		return err
	}
	if a.Rejected == 0 && a.Message == "" && a.Warning == nil {
		return nil
	}
	said := a.Warning
	if said == nil {
		said = fmt.Errorf("the destination says %q", a.Message)
	}
	return &pipeline.Error{Kind: pipeline.Partial, Rejected: a.Rejected, Err: said}
}
