package strcase

import "testing"

func TestAppend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, snake, camel string }{
		{"", "", ""}, {"someName", "some_name", "SomeName"}, {"some_name", "some_name", "SomeName"}, {"SOME_NAME", "some_name", "SomeName"},
		{"JSONData", "json_data", "Jsondata"}, {"HTTPStatusCode", "http_status_code", "HttpstatusCode"}, {"q9x", "q_9_x", "Q9X"}, {"Version2", "version_2", "Version2"},
		{" some.name-is here ", "some_name_is_here", "SomeNameIsHere"}, {"http.statusCode", "http_status_code", "HttpStatusCode"}, {"élan", "élan", "lan"}, {"a__b", "a__b", "AB"},
	} {
		if got := string(AppendSnake([]byte("x"), []byte(c.name))); got != "x"+c.snake {
			t.Errorf("snake case of %q: %q, want %q", c.name, got[1:], c.snake)
		}
		if got := string(AppendCamel([]byte("x"), []byte(c.name))); got != "x"+c.camel {
			t.Errorf("camel case of %q: %q, want %q", c.name, got[1:], c.camel)
		}
	}
}
