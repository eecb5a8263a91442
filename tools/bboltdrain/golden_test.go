package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

var golden = flag.String("golden", "", "write the files of bbolt for the tests of file_storage to this `directory`")

// TestGolden writes files of bbolt: the tree of one fits its root, that of the others does
// not.
func TestGolden(t *testing.T) {
	if *golden == "" {
		t.Skip("only with -golden DIRECTORY")
	}
	var meta []byte
	for num, v := range map[protowire.Number]uint64{fieldRead: 100, fieldWrite: 2100} {
		meta = protowire.AppendFixed64(protowire.AppendTag(meta, num, protowire.Fixed64Type), v)
	}
	meta = protowire.AppendBytes(protowire.AppendTag(meta, fieldSending, protowire.BytesType), index(97, 98, 99))
	large := map[string][]byte{"qmv0": meta}
	older := map[string][]byte{"ri": index(100), "wi": index(2100), "di": append(binary.LittleEndian.AppendUint32(nil, 3), index(97, 98, 99)...)}
	for i := 97; i < 2100; i++ {
		large[fmt.Sprint(i)], older[fmt.Sprint(i)] = []byte("request"), []byte("request")
	}
	for name, items := range map[string]map[string][]byte{
		"small": {"ri": index(5), "wi": index(7), "5": []byte("a"), "6": []byte("b")}, "empty": nil, "large": large, "older": older,
	} {
		content, err := os.ReadFile(queueFile(t, items))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(*golden, name+".bbolt.gz"), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
