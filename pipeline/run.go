package pipeline

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Run starts components in their order, waits for ctx to end, and shuts them down in
// the opposite order, all of them within drain. So a receiver comes after what it
// feeds. If one does not start, those before it are shut down at once. The error is
// everything that went wrong.
func Run(ctx context.Context, drain time.Duration, components ...Component) error {
	var errs []error
	for i, c := range components {
		if err := c.Start(ctx); err != nil {
			errs, components = append(errs, err), components[:i]
			break
		}
	}
	if len(errs) == 0 {
		<-ctx.Done()
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	for _, c := range slices.Backward(components) {
		errs = append(errs, c.Shutdown(end))
	}
	return errors.Join(errs...)
}
