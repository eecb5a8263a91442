package libpf_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/libpf"
)

// The parsers of 32 digits agree with the definition and with each other.
func FuzzHashFromString(f *testing.F) {
	for _, s := range []string{
		"77efa716a912a49217445787329fd29a", "0x77EFA716A912A49217445787329FD29A",
		"77efa716-a912-a492-1744-5787329fd29a", "", "0x", "-", "2a0000000000000064", "0x0x77efa716a912a49217445787329fd29a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, wantErr := hex.DecodeString(strings.ReplaceAll(strings.TrimPrefix(s, "0x"), "-", ""))
		good := wantErr == nil && len(want) == 16
		file, err := libpf.FileIDFromString(s)
		hash, hashErr := libpf.TraceHashFromString(s)
		var text libpf.FileID
		textErr := text.UnmarshalText([]byte(s))
		if (err == nil) != good || (hashErr == nil) != good || (textErr == nil) != good {
			t.Fatalf("%q: %v, %v, %v; the definition says %v", s, err, hashErr, textErr, good)
		}
		if !good {
			return
		}
		if string(file.Bytes()) != string(want) || file.Hash128 != hash.Hash128 || text != file {
			t.Fatalf("%q: %s, %s, %s, want %x", s, file, hash, text, want)
		}
		for _, form := range []string{file.String(), file.StringNoQuotes(), file.ToUUIDString(), "0x" + file.String()} {
			if again, err := libpf.FileIDFromString(form); err != nil || again != file {
				t.Fatalf("%q: %s, %v", form, again, err)
			}
		}
	})
}

func FuzzHashFromBytes(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("sixteen bytes!!!"))
	f.Add([]byte("seventeen bytes!!"))
	f.Fuzz(func(t *testing.T, b []byte) {
		hash, err := libpf.TraceHashFromBytes(b)
		if (err == nil) != (len(b) == 16) || err == nil && string(hash.Bytes()) != string(b) {
			t.Fatalf("%x: trace hash %s, %v", b, hash, err)
		}
		file, fileErr := libpf.FileIDFromBytes(b)
		if (fileErr == nil) != (len(b) == 16 || b == nil) || file.Hash128 != hash.Hash128 {
			t.Fatalf("%x: file id %s, %v", b, file, fileErr)
		}
	})
}

// canonical returns base64 in the form that is written: in the URL alphabet, with zero
// bits after the last byte.
func canonical(s string) string {
	if strings.ContainsAny(s, "\r\n") {
		return "not base64: it has lines"
	}
	s = strings.NewReplacer("+", "-", "/", "_").Replace(s)
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return "not base64: " + err.Error()
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func FuzzFileIDFromBase64(f *testing.F) {
	for _, s := range []string{"d--nFqkSpJIXRFeHMp_Smg", "d++nFqkSpJIXRFeHMp/Smg", "d++nFqkSpJIXRFeHMp_Smg", "d--nFqkSpJIXRFeHMp_Smg==", "d--nFqkSpJIXRFeHMp_Smh", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := libpf.FileIDFromBase64(s)
		mixed := strings.ContainsAny(s, "+/") && strings.ContainsAny(s, "-_")
		if want := canonical(s); (err == nil) != (!mixed && len(want) == 22) || err == nil && id.Base64() != want {
			t.Fatalf("%q: %s, %v; written as %s", s, id.Base64(), err, want)
		}
		if again, errAgain := libpf.FileIDFromBase64(id.Base64()); errAgain != nil || again != id {
			t.Fatalf("%s: %s, %v", id.Base64(), again, errAgain)
		}
	})
}

var jsonID = regexp.MustCompile(`^"[0-9a-fA-F]{32}"$`)

func FuzzHashFromJSON(f *testing.F) {
	for _, s := range []string{`"77efa716a912a49217445787329fd29a"`, "null", "{}", `"77EFA716A912A49217445787329FD29A"`, "1234567890123456789012345678901234",
		`'77efa716a912a49217445787329fd29a"`, `"77efa716a912a49217445787329fd29a'`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := libpf.NewFileID(1, 2)
		id := before
		err := id.UnmarshalJSON(b)
		switch {
		case string(b) == "null" || err != nil:
			if id != before || (err == nil) != (string(b) == "null") {
				t.Fatalf("%s: %v, left %s", b, err, id)
			}
			if jsonID.Match(b) {
				t.Fatalf("%s: %v", b, err)
			}
			return
		case !jsonID.Match(b):
			t.Fatalf("%s: taken for %s", b, id)
		}
		if want := strings.ToLower(strings.Trim(string(b), `"`)); id.String() != want {
			t.Fatalf("%s: read %s", b, id)
		}
		out, err := json.Marshal(id)
		var again libpf.FileID
		if err != nil || json.Unmarshal(out, &again) != nil || again != id {
			t.Fatalf("%s: written as %s, read as %s", b, out, again)
		}
	})
}

func FuzzFrameIDFromString(f *testing.F) {
	for _, s := range []string{"d--nFqkSpJIXRFeHMp_SmgAAAAAAAOUc", "d++nFqkSpJIXRFeHMp/SmgAAAAAAAOUc", "", "d--nFqkSpJIXRFeHMp_Smg\nAAAAAAAOUc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := libpf.NewFrameIDFromString(s)
		want := canonical(s)
		if good := !strings.ContainsAny(s, "+/") && len(want) == 32 && !strings.HasPrefix(want, "not "); (err == nil) != good || good && id.String() != want {
			t.Fatalf("%q: %s, %v; written as %s", s, id, err, want)
		}
		var text libpf.FrameID
		if textErr := text.UnmarshalText([]byte(s)); (textErr == nil) != (err == nil) || text != id {
			t.Fatalf("%q: text %s, %v; string %s, %v", s, text, textErr, id, err)
		}
		out, err := json.Marshal(id)
		var again libpf.FrameID
		if err != nil || json.Unmarshal(out, &again) != nil || again != id {
			t.Fatalf("%s: written as %s, read as %s", id, out, again)
		}
	})
}

func FuzzFrameIDFromBytes(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("twenty-four bytes of id!"))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := libpf.NewFrameIDFromBytes(b)
		if (err == nil) != (len(b) == 24) || err == nil && string(id.Bytes()) != string(b) {
			t.Fatalf("%x: %s, %v", b, id, err)
		}
		if err != nil {
			return
		}
		if file, err := libpf.FileIDFromBytes(b[:16]); err != nil || id != libpf.NewFrameID(file, libpf.AddressOrLineno(binary.BigEndian.Uint64(b[16:]))) {
			t.Fatalf("%x: file %s, address %#x, %v", b, id.FileID(), id.AddressOrLine(), err)
		}
	})
}

func FuzzUnixTime32FromJSON(f *testing.F) {
	for _, s := range []string{`1713456789`, `"2024-04-18T16:13:09Z"`, `"2024-04-18T18:13:09+02:00"`, `"2106-02-07T06:28:16Z"`, "null", `"`, "-1", "1e3"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		at := libpf.UnixTime32(7)
		if err := at.UnmarshalJSON(b); err != nil {
			if at != 7 {
				t.Fatalf("%s: %v, but it was changed to %d", b, err, at)
			}
			return
		}
		// Both forms of the result are read back.
		out, err := at.MarshalJSON()
		var again libpf.UnixTime32
		if err != nil || json.Unmarshal(out, &again) != nil || again != at {
			t.Fatalf("%s: read %d, written as %s, read as %d", b, at, out, again)
		}
		number, err := json.Marshal(uint32(at))
		if err != nil || json.Unmarshal(number, &again) != nil || again != at {
			t.Fatalf("%s: read %d, as a number %s, read as %d", b, at, number, again)
		}
		if b[0] != '"' && string(b) != "null" && strings.TrimLeft(string(b), "0") != strings.TrimLeft(string(number), "0") {
			t.Fatalf("%s: read %d", b, at)
		}
	})
}
