package fileexporter

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/bits"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/compress"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Exporter appends requests to a file.
type Exporter struct {
	id   string
	cfg  Config
	log  *slog.Logger
	obs  *obsreport.Exporter
	zstd *zstd.Encoder // nil without compression

	// signals has a bit for each signal that was written.
	signals atomic.Uint32

	// turn is a lock that can be waited for with a deadline, since a write to a
	// pipe may block forever. It has one element while it is locked.
	turn chan struct{}
	open bool // the file may be written to; guarded by turn
	// file or groups, which is nil without group_by, is out. They are guarded by turn.
	file   *recordFile
	groups *groups
	out    output
	// queue has the records of the calls that wait for turn, without group_by.
	queue queue

	life         *lifecycle.Cycle
	stopFlushing context.CancelFunc // nil unless records are buffered
	flushing     sync.WaitGroup
	// abandoned reports that Shutdown has returned at its deadline: the holder of
	// turn closes the file.
	abandoned atomic.Bool
}

// output is where records go: a file, or one for each value of an attribute.
type output interface {
	start() error
	// appendTo appends a record to the file at the path, which is Config.Path for one file.
	appendTo(path string, record []byte) error
	flush() error
	close() error
}

// New returns an exporter that accesses no file before Start.
func New(cfg Config, set component.Settings) (*Exporter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Rotation != nil {
		if err := cfg.Rotation.Validate(); err != nil {
			return nil, fmt.Errorf("rotation: %w", err)
		}
	}
	set = set.OrDefaults()
	obs, err := obsreport.NewExporter(set.ID, set.Meter, set.MetricsLevel >= component.LevelDetailed, nil)
	if err != nil {
		return nil, err
	}
	e := &Exporter{
		id: set.ID, cfg: cfg, log: set.Logger, obs: obs, turn: make(chan struct{}, 1), life: lifecycle.New(fmt.Sprintf("exporter %q", set.ID)),
	}
	if cfg.GroupBy.Enabled {
		e.groups = newGroups(cfg, set.Logger)
		e.out = e.groups
	} else {
		e.file = newRecordFile(cfg, set.Logger)
		e.out = e.file
	}
	if cfg.Compression == compressionZstd {
		if e.zstd, err = compress.NewZstd(cfg.zstdLevel()); err != nil {
			return nil, fmt.Errorf("set up zstd: %w", err)
		}
	}
	return e, nil
}

// Name returns the exporter's id in the configuration.
func (e *Exporter) Name() string { return e.id }

// Capabilities returns that it does not change batches.
func (e *Exporter) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

// lock waits for turn until ctx ends. unlock must follow.
func (e *Exporter) lock(ctx context.Context) error {
	select {
	case e.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return e.waitError(ctx)
	}
}

func (e *Exporter) waitError(ctx context.Context) error {
	return fmt.Errorf("wait for a write to %s in progress: %w", e.cfg.Path, ctx.Err())
}

func (e *Exporter) unlock() {
	<-e.turn
	if e.abandoned.Load() {
		e.closeAbandoned()
	}
}

// closeAbandoned closes the file, unless turn is held by another goroutine, which
// will close it. It logs the error, since Shutdown has returned.
func (e *Exporter) closeAbandoned() {
	select {
	case e.turn <- struct{}{}:
	default:
		return
	}
	defer func() { <-e.turn }()
	if err := e.close(); err != nil {
		e.log.Warn("closing the file after the shutdown deadline failed", "path", e.cfg.Path, "error", err)
	}
}

// close writes the buffered records and closes the file. The caller holds turn.
func (e *Exporter) close() error {
	if !e.open {
		return nil
	}
	e.open = false
	return e.out.close()
}

// Start opens the file.
func (e *Exporter) Start(ctx context.Context) error {
	return e.life.Start(func(*lifecycle.Undo) error {
		if err := e.lock(ctx); err != nil {
			return err
		}
		defer e.unlock()
		if e.cfg.CreateDirectory && e.groups == nil {
			mode, err := e.cfg.directoryMode()
			if err == nil {
				err = os.MkdirAll(filepath.Dir(e.cfg.Path), mode)
			}
			if err != nil {
				return fmt.Errorf("create the directory of %s: %w", e.cfg.Path, err)
			}
		}
		if err := e.out.start(); err != nil {
			return err
		}
		e.open = true
		if e.cfg.buffered() {
			ctx, cancel := context.WithCancel(context.Background())
			e.stopFlushing = cancel
			interval := cmp.Or(e.cfg.FlushInterval, defaultFlushInterval)
			e.log.Warn("with acknowledge: buffered records are acknowledged before they are written; a crash of the process loses them",
				"path", e.cfg.Path, "at_most_bytes", maxPendingBytes, "flush_interval", interval)
			e.flushing.Go(func() { e.flushRegularly(ctx, interval) })
		}
		return nil
	})
}

// Shutdown writes the buffered records and closes the file. It waits for a write
// in progress until ctx ends, and then abandons it, since a write cannot be
// interrupted: the file is closed when the write returns.
func (e *Exporter) Shutdown(ctx context.Context) error {
	return e.life.Shutdown(func() error {
		if e.stopFlushing != nil {
			e.stopFlushing() // also ends its wait for turn
		}
		if err := e.lock(ctx); err != nil {
			e.abandoned.Store(true)
			e.closeAbandoned() // if the write has returned in the meantime
			return err
		}
		defer e.unlock()
		e.flushing.Wait()
		return e.close()
	})
}

// flushRegularly logs the first of consecutive failures. No data is lost by it:
// the records stay in the buffer, and Consume returns errors when the buffer is
// full.
func (e *Exporter) flushRegularly(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if e.lock(ctx) != nil {
			return
		}
		err := e.out.flush()
		e.unlock()
		if err != nil && !failing {
			e.log.Warn("writing the buffered records failed; they stay in memory", "error", err)
		}
		failing = err != nil
	}
}

// Consume appends the batch as one record. After an error the file does not contain
// the record, or any part of it. An error is Retryable, unless the record is larger
// than the whole memory budget.
func (e *Exporter) Consume(ctx context.Context, b *pipeline.Batch) error {
	e.noteSignal(b)
	e.obs.Begin(ctx, b.Signal())
	defer e.obs.End(ctx, b.Signal())
	var err error
	if e.groups != nil {
		err = e.writeGroups(ctx, b)
	} else {
		err = e.write(ctx, b, e.cfg.Path)
	}
	if err != nil {
		refusal := *pipeline.Classify(err)
		refusal.Err = fmt.Errorf("%s: %w", e.id, refusal.Err)
		e.obs.Sent(ctx, b.Signal(), b.Items(), &refusal)
		return &refusal
	}
	e.obs.Sent(ctx, b.Signal(), b.Items(), nil)
	return nil
}

// write encodes the batch and appends it to the file at path. What it needs for that is charged to the
// batch.
func (e *Exporter) write(ctx context.Context, b *pipeline.Batch, path string) error {
	record := b.Bytes()
	if e.cfg.Format == formatJSON {
		text, err := b.JSON(ctx)
		if err != nil {
			return err
		}
		defer text.Release()
		record = text.Bytes
	}
	if e.zstd != nil {
		packed, err := b.NewBuffer(ctx, e.zstd.MaxEncodedSize(len(record)))
		if err != nil {
			return err
		}
		defer packed.Release()
		packed.Bytes = e.zstd.EncodeAll(record, packed.Bytes)
		record = packed.Bytes
	}
	if err := e.append(ctx, path, record); err != nil {
		return &pipeline.Error{Kind: pipeline.Retryable, Err: err}
	}
	return nil
}

// noteSignal warns once if the file has records of several signals. In JSON the
// first key identifies the signal.
func (e *Exporter) noteSignal(b *pipeline.Batch) {
	if e.cfg.Format == formatJSON {
		return
	}
	bit := uint32(1) << b.Signal()
	old := e.signals.Or(bit)
	if bits.OnesCount32(old) == 1 && old != bit {
		e.log.Warn("the file has records of several signals, which a reader cannot distinguish; use one file exporter for each signal",
			"path", e.cfg.Path, "signal", b.Signal().String())
	}
}
