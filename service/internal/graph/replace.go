package graph

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// exchangeWithin bounds how long senders wait while one part is closed for the next, and
// how long before that its destinations have for what they are sending.
const exchangeWithin = 5 * time.Second

// A Transition is the change from a graph that runs to the one of another configuration:
//
//	start what is new beside what runs ─► exchange what cannot run twice ─► turn the switches
//	  ─► Retire: shut down what is left of the graph before
//
// What cannot run twice is a queue on disk, what writes the same files, and what listens
// at an address that it does not share. Its senders wait for the next one meanwhile. Until
// the switches are turned each step can be undone.
type Transition struct {
	Next *Graph
	// Left are the queues on disk whose exporter or pipeline is gone, for people.
	Left []string

	before *Graph
	log    *slog.Logger
	undo   []func(context.Context) error
	// exclusive are new parts that start when others of the graph before were closed.
	exclusive []part
	closed    map[string]bool // parts of before, by name
	entered   []*pipeline.Turned
	sending   []*pipeline.Turned // to exporters that are replaced
}

// Replace makes the graph of another configuration of the parts of g that are the same in
// both, and of new ones, starts these, and turns the data of g to it. After an error g is
// as it was. Else g is not used any more, but for Retire. budget is the memory budget in
// bytes: the one in effect, or that of cfg if it is smaller.
func (g *Graph) Replace(ctx context.Context, cfg *load.Config, s component.Settings, budget int64) (*Transition, error) {
	next, err := build(cfg, s, g.data.again(budget), g)
	if err != nil {
		return nil, err
	}
	t := &Transition{Next: next, before: g, log: s.OrDefaults().Logger, closed: map[string]bool{}}
	if replaced := t.replaced(); len(replaced) > 0 {
		g.listeners.Begin(replaced...)
		defer g.listeners.End()
	}
	if err := t.prepare(config.WithListeners(ctx, g.listeners)); err != nil {
		return nil, errors.Join(err, t.back(ctx))
	}
	t.turn()
	return t, nil
}

// replaced are the paths of the components of the graph before that are not kept: their
// listeners are passed on.
func (t *Transition) replaced() (paths []string) {
	for _, p := range t.before.parts {
		if p.of != nil && !t.Next.kept[p.name] {
			paths = append(paths, p.of.Path())
		}
	}
	return paths
}

// back undoes the steps.
func (t *Transition) back(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(config.WithListeners(context.WithoutCancel(ctx), t.before.listeners), 2*exchangeWithin)
	defer cancel()
	for _, f := range t.Next.fresh {
		f.of.Turn(f.to) // what has come in at a new listener is refused
	}
	var errs []error
	for _, step := range slices.Backward(t.undo) {
		errs = append(errs, step(ctx))
	}
	return errors.Join(append(errs, t.Next.discard())...)
}

func (t *Transition) undoes(step func(context.Context) error) { t.undo = append(t.undo, step) }

// prepare starts all parts but those that are left for Retire.
func (t *Transition) prepare(ctx context.Context) error {
	for _, f := range t.Next.fresh {
		f.of.Hold() // until what is behind has started
	}
	for _, p := range t.Next.parts {
		if err := t.startBeside(ctx, p); err != nil {
			return p.placed(err)
		}
	}
	for _, p := range t.exclusive { // before senders wait for queues: some wait for their senders
		if err := t.exchange(ctx, p); err != nil {
			return p.placed(err)
		}
	}
	t.closeLeft(ctx)
	if q, err := t.exchangeQueues(ctx); err != nil {
		return t.Next.placeOfQueue(q).placed(err)
	}
	return context.Cause(ctx)
}

// startBeside starts a part while the graph before runs, unless it cannot.
func (t *Transition) startBeside(ctx context.Context, p part) error {
	if t.Next.kept[p.name] || p.special() {
		return nil
	}
	if len(t.rivals(p)) > 0 {
		t.exclusive = append(t.exclusive, p)
		return nil
	}
	err := p.Start(ctx)
	if err == nil {
		t.undoes(p.Shutdown)
		return nil
	}
	other, is := t.before.named[p.name]
	if !is || p.of == nil || !errors.Is(err, syscall.EADDRINUSE) || !mayListenAtOnePort(p, other) {
		return err
	}
	again, made := t.Next.makeAgain(p) // it listens where the one before does, and cannot share it
	if made != nil {
		return err
	}
	t.exclusive = append(t.exclusive, again)
	return nil
}

// mayListenAtOnePort reports whether the address of a part may be in use by another part,
// and not only by another process.
func mayListenAtOnePort(a, b part) bool {
	ofA, okA := ports(a)
	ofB, okB := ports(b)
	return !okA || !okB || slices.ContainsFunc(ofA, func(port string) bool { return slices.Contains(ofB, port) })
}

// ports are the ports and sockets that a part listens at; false if it does not say.
func ports(p part) (all []string, ok bool) {
	listens, ok := p.of.Config.(component.Listener)
	if !ok {
		return nil, false
	}
	for _, at := range listens.Listens() {
		_, port, err := net.SplitHostPort(at.Address)
		switch {
		case err != nil:
			all = append(all, at.Address)
		case port != "0":
			all = append(all, port)
		}
	}
	return all, true
}

// placed adds the place of a part in the configuration to an error.
func (p part) placed(err error) error {
	var problems config.Errors
	if p.of == nil || errors.As(err, &problems) {
		return err
	}
	problems.Add(p.of.Errorf("%w", err))
	return problems.Err()
}

// special reports whether the part is not started like others.
func (p part) special() bool {
	switch p.Component.(type) {
	case queueSet, *queue, *leftQueues, *controlSocket, *drains, stops:
		return true
	}
	return false
}

// rivals are the parts of the graph before that p must not run beside, and that are not
// kept: those that write a file that p writes, and its own if it is exclusive.
func (t *Transition) rivals(p part) (all []part) {
	if p.of == nil {
		return nil
	}
	files := writes(p)
	e, ok := p.of.Config.(component.Exclusive)
	exclusive := ok && e.Exclusive()
	for _, other := range t.before.parts {
		if t.Next.kept[other.name] {
			continue
		}
		if exclusive && other.name == p.name || slices.ContainsFunc(writes(other), func(f string) bool { return slices.Contains(files, f) }) {
			all = append(all, other)
		}
	}
	return all
}

// writes returns the files that only this part may write.
func writes(p part) (files []string) {
	if p.of == nil {
		return nil
	}
	if w, ok := p.of.Config.(component.Writer); ok {
		for _, f := range w.Writes() {
			if path, err := filepath.Abs(f.Path); err == nil && f.Path != "" {
				files = append(files, path)
			}
		}
	}
	return files
}

// closeLeft closes the left queues that are looked for again: another one may have their
// files now.
func (t *Transition) closeLeft(ctx context.Context) {
	for _, p := range slices.Backward(t.before.parts) {
		switch p.Component.(type) {
		case *leftQueues, *controlSocket:
			if !t.Next.kept[p.name] {
				t.close(ctx, p)
			}
		}
	}
}

// close closes a part of the graph before, which is made and started again if the
// transition fails.
func (t *Transition) close(ctx context.Context, p part) {
	ctx, cancel := context.WithTimeout(ctx, exchangeWithin)
	defer cancel()
	t.closed[p.name] = true
	t.undoes(func(ctx context.Context) error { return t.before.revive(ctx, p) })
	if err := retire(ctx, p); err != nil {
		t.log.Warn("what is replaced was closed with an error", slog.String("part", p.name), slog.Any("error", err))
	}
}

// exchange closes the rivals of a part and starts it. Senders to an exporter wait.
func (t *Transition) exchange(ctx context.Context, p part) error {
	rivals := t.rivals(p)
	if other, is := t.before.named[p.name]; is && len(rivals) == 0 {
		rivals = []part{other} // which listens at the same address
	}
	var slots []*exporterSlot
	for _, rival := range rivals {
		if t.closed[rival.name] {
			continue
		}
		if slot := t.slotOf(rival); slot != nil {
			slots = append(slots, slot)
			if err := t.hold(ctx, rival, slot); err != nil {
				return err
			}
		}
		t.close(ctx, rival)
	}
	if err := p.Start(ctx); err != nil {
		return err
	}
	t.undoes(func(ctx context.Context) error {
		var errs []error
		for _, slot := range slots {
			errs = append(errs, waitFor(ctx, slot.hold(), p.name))
		}
		return errors.Join(append(errs, p.Shutdown(ctx))...)
	})
	for _, slot := range slots { // also one of another name: it has had the same files
		slot.turn(p.Component.(component.Exporter))
	}
	return nil
}

// slotOf returns the slot of an exporter of the graph before.
func (t *Transition) slotOf(p part) *exporterSlot {
	if p.of == nil || p.of.Kind != component.KindExporter {
		return nil
	}
	return t.before.exporters[p.of.ID]
}

// hold makes the senders to an exporter wait.
func (t *Transition) hold(ctx context.Context, p part, slot *exporterSlot) error {
	inside := slot.hold()
	t.undoes(func(context.Context) error {
		slot.turn(t.before.named[p.name].Component.(component.Exporter)) // made again, or never closed
		return nil
	})
	return waitFor(ctx, inside, p.name)
}

// waitFor waits for the calls that are inside a part.
func waitFor(ctx context.Context, inside []*pipeline.Turned, name string) error {
	ctx, cancel := context.WithTimeout(ctx, exchangeWithin)
	defer cancel()
	for _, t := range inside {
		if err := t.Wait(ctx); err != nil {
			return fmt.Errorf("%s cannot be replaced: a request is still being written after %s: %w", name, exchangeWithin, err)
		}
	}
	return nil
}

// turn leads all data to the next graph.
func (t *Transition) turn() {
	for c, e := range t.Next.replacedExporters(t.before) {
		t.sending = append(t.sending, t.Next.exporters[c].turn(e)...)
	}
	for _, to := range slices.Concat(t.Next.bridges, t.Next.fresh) {
		to.of.Turn(to.to)
	}
	for _, to := range t.Next.turns {
		t.entered = append(t.entered, to.of.Turn(to.to))
	}
	for _, r := range t.Next.rewired {
		t.rewire(r)
	}
	t.Next.started = t.Next.parts
	t.Left = t.left()
}

// replacedExporters are the exporters, by id, that are new in a slot of the graph before.
func (g *Graph) replacedExporters(before *Graph) iter.Seq2[string, component.Exporter] {
	return func(yield func(string, component.Exporter) bool) {
		for _, p := range g.parts {
			if p.of == nil || p.of.Kind != component.KindExporter || g.kept[p.name] {
				continue
			}
			if id := p.of.ID; g.exporters[id] == before.exporters[id] && !yield(id, p.Component.(component.Exporter)) {
				return
			}
		}
	}
}

// rewire connects a receiver that is kept to other signals.
func (t *Transition) rewire(r Receiver) {
	next := map[otlp.Signal]pipeline.Consumer{}
	for s, to := range r.Switches {
		next[s] = to
	}
	if err := r.Instance.(component.Rewirer).Rewire(next); err != nil {
		t.log.Error("a receiver does not take its new signals", slog.String("receiver", r.Config.ID), slog.Any("error", err))
	}
}

// gone are the parts of the graph before that are neither kept nor closed, last first.
func (t *Transition) gone() (all []part) {
	for _, p := range slices.Backward(t.before.parts) {
		if !t.Next.kept[p.name] && !t.closed[p.name] && !p.special() {
			all = append(all, p)
		}
	}
	return all
}

// Retire shuts down what is left of the graph before, receivers first, when no request is
// inside any more or ctx has ended, and starts to look for queues that are left.
func (t *Transition) Retire(ctx context.Context) error {
	gone := t.gone()
	receivers, others := divide(gone, func(p part) bool { return p.of != nil && p.of.Kind == component.KindReceiver })
	errs := []error{together(receivers, func(p part) error { return retire(ctx, p) })}
	for _, r := range t.Next.rewired {
		if of, ok := r.Instance.(component.Settler); ok {
			_ = of.Settle(ctx) // what has not ended is cut off below
		}
	}
	for _, inside := range t.entered {
		if inside.Wait(ctx) != nil {
			break
		}
	}
	ends, others := divide(others, func(p part) bool {
		return p.of != nil && (p.of.Kind == component.KindExporter || p.of.Kind == component.KindExtension)
	})
	for _, p := range others { // processors, and what has no queue
		errs = append(errs, Within(ctx, "shut down "+p.name, p.Shutdown))
	}
	errs = append(errs, together(t.goneQueues(), func(q *queue) error { return t.retireQueue(ctx, q) }))
	errs = append(errs, t.startLeft(ctx))
	for _, inside := range t.sending {
		if inside.Wait(ctx) != nil {
			break
		}
	}
	t.Next.drains.endWithout(ctx, t.Next)
	exporters, extensions := divide(ends, func(p part) bool { return p.of.Kind == component.KindExporter })
	for _, all := range [][]part{exporters, extensions} {
		errs = append(errs, together(all, func(p part) error { return retire(ctx, p) }))
	}
	for _, p := range t.before.parts {
		if p.meters != nil && !t.Next.kept[p.name] {
			errs = append(errs, p.meters.close())
		}
	}
	return errors.Join(errs...)
}

func divide(all []part, by func(part) bool) (those, others []part) {
	for _, p := range all {
		if by(p) {
			those = append(those, p)
		} else {
			others = append(others, p)
		}
	}
	return those, others
}

// retire shuts a part down, without failing a request if it is a server.
func retire(ctx context.Context, p part) error {
	of := p.Component
	if e, ok := of.(extensionPart); ok {
		of = e.Component
	}
	var err error
	if r, ok := of.(component.Retirer); ok {
		err = Within(ctx, "retire "+p.name, r.Retire)
	}
	return errors.Join(err, Within(ctx, "shut down "+p.name, p.Shutdown))
}

// startLeft looks for queues that are left. What prevents it is logged by the caller; the
// data stays on disk.
func (t *Transition) startLeft(ctx context.Context) error {
	var errs []error
	for _, p := range t.Next.parts {
		switch p.Component.(type) {
		case *leftQueues, *controlSocket:
		default:
			continue
		}
		if t.Next.kept[p.name] {
			continue
		}
		if err := p.Start(context.WithoutCancel(ctx)); err != nil {
			delete(t.Next.named, p.name) // the next transition tries it again
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
