package service

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/penstock-telemetry/penstock/internal/control"
)

// newControl creates the server of the control socket in the data directory.
func (s *Service) newControl() {
	if s.opts.ReloadCommand == nil || s.opts.DataDir == "" {
		return
	}
	dir := s.opts.DataDir
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	s.control = control.New(dir, s.opts.ReloadCommand, s.process.log.Logger)
}

// openControl opens the control socket if the data directory was named, or is there. Else
// it is opened when a queue has created the directory. What prevents it is logged:
// telemetry does not need it.
func (s *Service) openControl() {
	if s.control == nil {
		return
	}
	level := slog.LevelWarn
	if !s.opts.DataDirNamed {
		level = slog.LevelDebug
		if _, err := os.Stat(s.opts.DataDir); err != nil {
			return
		}
	}
	if err := s.control.Own(); err != nil {
		s.process.log.Log(context.Background(), level, "there is no control socket: penstock reload does not reach this process; SIGHUP does",
			slog.String("directory", s.opts.DataDir), slog.Any("error", err))
	}
}
