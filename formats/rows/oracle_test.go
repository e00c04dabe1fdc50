package rows

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// checkRow compares a row with what encoding/json makes of its line. It reads
// names without regard to case and lets the last of two win, so only lines in
// which neither matters are compared.
func checkRow(t *testing.T, row *Row, line []byte, format Format) {
	t.Helper()
	if row.Err != nil {
		return
	}
	if format == Text {
		if row.Text != string(line) || !utf8.ValidString(row.Text) {
			t.Fatalf("%q became %q", line, row.Text)
		}
		return
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(line, &keys); err != nil {
		t.Fatalf("%q was taken: %v", line, err)
	}
	if id, ok := keys["id"]; ok != (len(row.ID) > 0) || string(id) != string(row.ID) {
		t.Fatalf("%q: id %s, want %s", line, row.ID, id)
	}
	var want struct {
		text, pair   *string
		ids, typeIDs []int32
	}
	for key, to := range map[string]any{"text": &want.text, "text_pair": &want.pair, "ids": &want.ids, "type_ids": &want.typeIDs} {
		if value, ok := keys[key]; ok {
			if err := json.Unmarshal(value, to); err != nil {
				t.Fatalf("%q was taken: %v", line, err)
			}
		}
	}
	if (want.text == nil) == (len(row.IDs) == 0) || want.text != nil && *want.text != row.Text {
		t.Fatalf("%q: text %q", line, row.Text)
	}
	if (want.pair == nil) != (row.Pair == nil) || want.pair != nil && *want.pair != *row.Pair {
		t.Fatalf("%q: pair %v", line, row.Pair)
	}
	if !slices.Equal(want.ids, row.IDs) || !slices.Equal(want.typeIDs, row.TypeIDs) {
		t.Fatalf("%q: ids %v %v", line, row.IDs, row.TypeIDs)
	}
	if strings.ContainsRune(row.Text, utf8.RuneError) && !strings.Contains(strings.ToLower(string(line)), `fffd`) && !strings.ContainsRune(string(line), utf8.RuneError) {
		t.Fatalf("%q: a replacement character came from nowhere", line)
	}
}
