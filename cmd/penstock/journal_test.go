package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/penstock-telemetry/penstock/journal"
)

// journalCmd is: journal FOLDER RECORDS [keep]. It makes a journal of records of 1000
// bytes and 2 units each with the cursors a and b, of which a has acknowledged the first
// two and the fourth. With keep it stays open until the script ends.
func journalCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: journal FOLDER RECORDS [keep]")
	}
	records, err := strconv.Atoi(args[1])
	ts.Check(err)
	j, err := journal.Open(ts.MkAbs(args[0]), journal.Options{ReserveBytes: -1, MaxBytes: 1 << 20, SegmentBytes: 8 << 10})
	ts.Check(err)
	ctx := context.Background()
	a, err := j.Cursor("a", journal.Oldest)
	ts.Check(err)
	_, err = j.Cursor("b", journal.Oldest)
	ts.Check(err)
	for range records {
		_, err := j.Append(ctx, journal.Record{Parts: [][]byte{make([]byte, 1000)}, Units: 2})
		ts.Check(err)
	}
	for i := range 4 {
		e, err := a.Next(ctx)
		ts.Check(err)
		if i != 2 {
			a.Ack(e)
		}
	}
	if len(args) > 2 {
		ts.Defer(func() { ts.Check(j.Close()) })
		return
	}
	ts.Check(j.Close())
}

// damageCmd is: damage GLOB OFFSET. It changes a byte of the first file that matches.
func damageCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: damage GLOB OFFSET")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("no file matches %s", args[0])
	}
	offset, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(files[0], os.O_RDWR, 0)
	ts.Check(err)
	defer f.Close()
	b := make([]byte, 1)
	_, err = f.ReadAt(b, offset)
	ts.Check(err)
	b[0]++
	_, err = f.WriteAt(b, offset)
	ts.Check(err)
}
