package charset

import "testing"

func TestDecoder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"utf-8", "é\xff\xfe", "é\ufffd\ufffd"}, {"UTF8", "a", "a"}, {"us-ascii", "a\x80", "a\ufffd"}, {"nop", "\xff", "\xff"}, {"utf-16", "a\x00\xe9\x00\x3d\xd8\x00\xde", "aé😀"},
		{"utf-16", "\x3d\xd8a\x00b", "\ufffda\ufffd"}, {"utf-16be", "\x00a\x20\xac", "a€"}, {"iso-8859-1", "\xe9\x80", "é\u0080"}, {"Windows-1252", "\x80\xe9\x81", "€é\ufffd"},
	} {
		d, err := Decoder(c.name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d([]byte(">"), []byte(c.text)); err != nil || string(got) != ">"+c.want {
			t.Errorf("%s of %q: %q, %v", c.name, c.text, got, err)
		}
	}
	if _, err := Decoder("ebcdic"); err == nil {
		t.Error("an unknown encoding")
	}
}
