package tokenizer

import "etc/fault"

// maxHoles bounds ids by the number of tokens, so that one wild id does not
// make a table of gigabytes: at most as many holes as tokens, and these.
const maxHoles = 1024

// setVocabulary sets the text of the model's tokens. The empty token of some files matches nothing and is left out.
func (d *definition) setVocabulary(file string, v vocabulary) error {
	size := int32(0)
	for token, id := range v {
		if int(id) >= 2*len(v)+maxHoles {
			return fault.Newf(fault.Corrupt, "%s: token %q has id %d, but there are only %d tokens", file, token, id, len(v))
		}
		size = max(size, id+1)
	}
	d.text = make([]string, size)
	for token, id := range v {
		d.text[id] = token
	}
	return nil
}

// setMerges resolves merges and the tokens of single bytes.
func (d *definition) setMerges(file string, v vocabulary, merges []mergeJSON) error {
	for b, text := range byteText() {
		d.byteID[b] = v.id(text)
	}
	d.merges = make([]merge, 0, len(merges))
	for _, m := range merges {
		r := merge{v.id(m[0]), v.id(m[1]), v.id(m[0] + m[1])}
		if r.left == noID || r.right == noID || r.result == noID || m[0] == "" || m[1] == "" {
			return fault.Newf(fault.Corrupt, "%s: merge %q %q: not all of its tokens are in the vocabulary", file, m[0], m[1])
		}
		d.merges = append(d.merges, r)
	}
	return nil
}

// addTokens adds what a file lists as added tokens. Empty ones are ignored, as in
// Hugging Face; "special" matters to decoders only.
func (d *definition) addTokens(file string, tokens []addedJSON) error {
	limit := 2*(len(d.text)+len(tokens)) + maxHoles
	known := make(map[string]int32, len(d.text))
	for id, text := range d.text {
		known[text] = int32(id)
	}
	for _, a := range tokens {
		if a.Content == "" {
			continue
		}
		if a.ID == nil || *a.ID < 0 || *a.ID >= int64(limit) {
			return fault.Newf(fault.Corrupt, "%s: added token %q has no id, or one out of range: there are only %d tokens", file, a.Content, len(known))
		}
		id := int32(*a.ID)
		old, inside := known[a.Content]
		if inside && old != id {
			return fault.Newf(fault.Corrupt, "%s: added token %q has id %d, the vocabulary says %d", file, a.Content, id, old)
		}
		if !inside {
			if err := d.place(file, a.Content, id); err != nil {
				return err
			}
			known[a.Content] = id
		}
		d.added = append(d.added, addedToken{id, a.SingleWord, a.LStrip, a.RStrip, a.Normalized, !inside})
	}
	return nil
}

// place gives a token outside the model's vocabulary its id.
func (d *definition) place(file, token string, id int32) error {
	for int(id) >= len(d.text) {
		d.text = append(d.text, "")
	}
	if d.text[id] != "" {
		return fault.Newf(fault.Corrupt, "%s: tokens %q and %q have the same id %d", file, d.text[id], token, id)
	}
	d.text[id] = token
	return nil
}
