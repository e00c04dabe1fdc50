package tokenizer

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"etc/fault"
	"etc/formats/strictjson"
)

// A version of transformers, whose rules for added tokens are not the same.
// Where four and five would give other ids the tokenizer is refused.
type version int

const (
	four version = 4
	five version = 5
)

// A tokenName is a token, written as a string or as an object with its settings.
type tokenName struct {
	addedJSON
	object bool
}

func (n *tokenName) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return json.Unmarshal(b, &n.Content)
	}
	var o tokenJSON
	n.object = true
	err := strictjson.Unmarshal(b, &o)
	n.addedJSON = o.added()
	return err
}

func (n tokenName) or(standard string) string {
	if n.Content == "" {
		return standard
	}
	return n.Content
}

// tokenJSON is an added token in the files of transformers; tokenizer.json writes all of its settings.
type tokenJSON struct {
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized *bool  `json:"normalized"` // if not special, where nothing is said
	Special    bool   `json:"special"`
}

func (t tokenJSON) added() addedJSON {
	return addedJSON{Content: t.Content, SingleWord: t.SingleWord, LStrip: t.LStrip, RStrip: t.RStrip,
		Normalized: valueOr(t.Normalized, !t.Special), open: t.Normalized == nil && !t.Special}
}

// special is a token that is special for sure, and so is not normalised where nothing is said.
func (a addedJSON) special() addedJSON {
	a.Normalized = a.Normalized && !a.open
	a.open = false
	return a
}

// specialNames are the special tokens by role, empty where none is named.
type specialNames struct {
	BOS  tokenName `json:"bos_token"`
	EOS  tokenName `json:"eos_token"`
	Unk  tokenName `json:"unk_token"`
	Sep  tokenName `json:"sep_token"`
	Pad  tokenName `json:"pad_token"`
	CLS  tokenName `json:"cls_token"`
	Mask tokenName `json:"mask_token"`
}

// roles are all of them in the order in which transformers adds them.
func (n *specialNames) roles() []*tokenName {
	return []*tokenName{&n.BOS, &n.EOS, &n.Unk, &n.Sep, &n.Pad, &n.CLS, &n.Mask}
}

// moreNames are special tokens without a role.
type moreNames struct {
	Additional []tokenName `json:"additional_special_tokens"`
	Extra      extraNames  `json:"extra_special_tokens"`
}

// extraNames are written as a list, or as an object by roles of the model's own. Version 4 knows the object only.
type extraNames struct {
	list, byRole []tokenName
}

func (n *extraNames) UnmarshalJSON(b []byte) error {
	if b[0] != '{' {
		return json.Unmarshal(b, &n.list)
	}
	var names map[string]tokenName
	err := json.Unmarshal(b, &names)
	for _, role := range slices.Sorted(maps.Keys(names)) {
		n.byRole = append(n.byRole, names[role])
	}
	return err
}

// ownNames are the tokens with a role that only the model knows, such as image_token.
func ownNames(file string, data []byte) ([]tokenName, error) {
	var all map[string]json.RawMessage
	if err := decode(file, data, &all); err != nil {
		return nil, err
	}
	var own []tokenName
	for _, key := range slices.Sorted(maps.Keys(all)) {
		standard := slices.Contains([]string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}, key)
		var n tokenName
		if strings.HasSuffix(key, "_token") && !standard && all[key][0] == '"' && json.Unmarshal(all[key], &n) == nil {
			own = append(own, n)
		}
	}
	return own, nil
}

// readAddedTokens reads added_tokens.json, which gives tokens their ids.
func readAddedTokens(file []byte) (tokens []addedJSON, err error) {
	if file == nil {
		return nil, nil
	}
	var ids map[string]int64
	if err := decode("added_tokens.json", file, &ids); err != nil {
		return nil, err
	}
	for text, id := range ids {
		tokens = append(tokens, addedJSON{ID: &id, Content: text})
	}

	return tokens, nil
}

// standardNames are the special tokens of a class where no file names them.
func (f family) standardNames() (n specialNames) {
	var texts []string // in the order of roles
	switch f {
	case bertFamily:
		texts = []string{"", "", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"}
	case gptFamily:
		texts = []string{"<|endoftext|>", "<|endoftext|>", "<|endoftext|>", "", "", "", ""}
	case robertaFamily:
		texts = []string{"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"}
	default:
		return n
	}
	for i, role := range n.roles() {
		role.Content = texts[i]
	}
	return n
}

// addAll gives d the added tokens that transformers finds in text: listed are those of
// tokenizer.json, nil where there is none. Versions 4 and 5 must find the same.
func (c *config) addAll(d *definition, file string, v vocabulary, listed []addedJSON) error {
	seen := map[string]bool{}
	for i, a := range listed {
		if seen[a.Content] {
			return fault.Newf(fault.Corrupt, "%s: added token %q stands twice", file, a.Content)
		}
		seen[a.Content] = true
		listed[i].from = listedFile
	}
	if len(c.mapped.Additional) > 0 && slices.ContainsFunc(c.more(five, false), func(n tokenName) bool { return n.object }) {
		return fault.Newf(fault.Unsupported, "special_tokens_map.json: additional_special_tokens as objects, which transformers 5 refuses").WithHint("%s", saveAgain)
	}
	found, err := c.find(d, v, listed, five)
	if err != nil {
		return err
	}
	// Version 4 has no TokenizersBackend and knows no list of extra tokens.
	if c.family != backendFamily && len(c.Extra.list) == 0 && len(c.mapped.Extra.list) == 0 {
		before, err := c.find(d, v, listed, four)
		if err != nil {
			return err
		}
		if err := sameTokens(before, found, d.normalize.on); err != nil {
			return err
		}
		found = before // in the order of tokenizer.json
	}
	if err := d.addTokens(file, found.tokens); err != nil {
		return err
	}
	for _, a := range found.tokens {
		if id := found.ids[a.Content]; int64(id) != *a.ID {
			return fault.Newf(fault.Unsupported, "added token %q has id %d in its file, but transformers gives it %d", a.Content, *a.ID, id).WithHint("%s", saveAgain)
		}
	}
	return nil
}

const saveAgain = "load the tokenizer with the version of transformers that the model was trained with, and save it into the folder with tokenizer.save_pretrained"

// sameTokens wants both versions to find the same tokens under the same ids. Without a
// normalizer it is the same whether a token is sought in normalised text.
func sameTokens(a, b roster, normalizes bool) error {
	for _, text := range slices.Sorted(maps.Keys(mapsUnion(a.ids, b.ids))) {
		x, y := a.describe(text, normalizes), b.describe(text, normalizes)
		if x != y {
			return fault.Newf(fault.Unsupported, "special or added token %q: for transformers 4 it has %s, for transformers 5 %s", text, x, y).WithHint("%s", saveAgain)
		}
	}
	return nil
}

func mapsUnion(a, b map[string]int32) map[string]int32 {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// A roster is the added tokens of a tokenizer while files add to them.
type roster struct {
	vocab  vocabulary
	tokens []addedJSON
	at     map[string]int   // a token's place in tokens
	ids    map[string]int32 // of the tokens; the ids that files state may be others
	last   int32            // largest of ids
	mixed  string           // a token added again with another "normalized"
}

// add adds tokens as AddedVocabulary::add_tokens in huggingface/tokenizers does:
// one that is there gets the new settings, one that is in no vocabulary the next id.
func (r *roster) add(tokens ...addedJSON) {
	for _, a := range tokens {
		if a.Content == "" {
			continue
		}
		if i, ok := r.at[a.Content]; ok {
			if a.Normalized != r.tokens[i].Normalized {
				r.mixed = a.Content
			}
			a.ID = r.tokens[i].ID
			r.tokens[i] = a
			continue
		}
		id, ok := r.vocab[a.Content]
		if !ok {
			id = max(int32(len(r.vocab)), r.last+1)
		}
		r.ids[a.Content], r.at[a.Content] = id, len(r.tokens)
		r.last = max(r.last, id)
		if a.from == nowhere {
			stated := int64(id)
			a.ID = &stated
		}
		r.tokens = append(r.tokens, a)
	}
}

// has says whether the token is there, with the same settings.
func (r *roster) has(a addedJSON) bool {
	i, ok := r.at[a.Content]
	return ok && r.tokens[i].settings() == a.settings()
}

// describe says where and how text is found, for errors.
func (r *roster) describe(text string, normalizes bool) string {
	i, ok := r.at[text]
	if !ok {
		return "no place of its own"
	}
	a, s := r.tokens[i], fmt.Sprintf("id %d", r.ids[text])
	for _, setting := range []struct {
		name string
		on   bool
	}{{"single_word", a.SingleWord}, {"lstrip", a.LStrip}, {"rstrip", a.RStrip}, {"normalized", a.Normalized && normalizes}} {
		if setting.on {
			s += " " + setting.name
		}
	}
	return s
}

// find does what from_pretrained and __init__ of a version do with added tokens
// (tokenization_utils_base.py and tokenization_utils_fast.py of 4.57, tokenization_utils_tokenizers.py of 5.24).
func (c *config) find(d *definition, v vocabulary, listed []addedJSON, as version) (roster, error) {
	r := roster{vocab: v, at: map[string]int{}, ids: map[string]int32{}, last: -1}
	if as == four || !c.family.rebuilds() {
		r.add(listed...)
	}
	decoder, err := c.decoder(listed, as)
	if err != nil {
		return r, err
	}
	var todo []tokenName
	queued, known, seen := map[tokenName]bool{}, map[string]bool{}, map[string]bool{}
	for _, a := range decoder {
		if !r.has(a) {
			todo = append(todo, tokenName{a, true})
			queued[tokenName{a.settings(), true}] = true
		}
	}
	for _, a := range slices.Concat(r.tokens, decoder) {
		known[a.Content] = true
	}
	roles, more := c.specials(decoder, listed != nil, as), c.more(as, false)
	special := map[string]bool{}
	for _, n := range roles {
		special[n.Content] = true
	}
	for _, n := range more {
		special[n.Content] = special[n.Content] || as == four
	}
	for _, n := range slices.Concat(roles, more) {
		key := tokenName{n.settings(), n.object}
		skip := n.Content == "" || queued[key]
		if as == four {
			skip = skip || seen[n.Content] || known[n.Content] && !n.object
		} else {
			skip = skip || known[n.Content]
		}
		if !skip {
			todo = append(todo, n)
			queued[key] = true
		}
		seen[n.Content] = true
	}
	for _, n := range todo {
		if special[n.Content] {
			n.addedJSON = n.special()
		}
		r.add(n.addedJSON)
	}
	if r.mixed != "" && d.normalize.on { // huggingface/tokenizers goes by both
		return r, fault.Newf(fault.Unsupported, "special or added token %q: files differ in whether it is normalized", r.mixed).WithHint("%s", saveAgain)
	}
	return r, nil
}

// settings are what decides where a token is found.
func (a addedJSON) settings() addedJSON {
	a.ID, a.from, a.open = nil, nowhere, false
	return a
}

// decoder are the tokens that files list with their ids, by id: those of
// added_tokens_decoder, or without that key those of added_tokens.json and tokenizer.json.
func (c *config) decoder(listed []addedJSON, as version) ([]addedJSON, error) {
	byID := map[int64]addedJSON{}
	for key, t := range c.AddedTokensDecoder {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return nil, fault.Newf(fault.Corrupt, "tokenizer_config.json: added_tokens_decoder has the id %q", key)
		}
		a := t.added()
		a.ID, a.from = &id, listedFile
		byID[id] = a
	}
	if c.AddedTokensDecoder == nil {
		named := map[string]bool{}
		for _, n := range slices.Concat(c.stated(), c.more(as, true)) {
			named[n.Content] = true
		}
		for _, a := range c.added {
			a.Normalized, a.from = !named[a.Content], addedFile
			byID[*a.ID] = a
		}
		for _, a := range listed {
			if a.ID != nil { // addTokens refuses what has none
				byID[*a.ID] = a
			}
		}
	}
	var tokens []addedJSON
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		tokens = append(tokens, byID[id])
	}
	return tokens, nil
}

// stated are the special tokens with a role that files name.
func (c *config) stated() (names []tokenName) {
	for _, n := range c.roles() {
		if n.Content != "" {
			names = append(names, *n)
		}
	}
	return names
}

// more are the special tokens without a role. Version 5 takes those of special_tokens_map.json
// only after it has read added_tokens.json.
func (c *config) more(as version, early bool) []tokenName {
	own := c.Extra.list
	if len(own) == 0 && len(c.Extra.byRole) == 0 {
		own = c.Additional
	}
	switch {
	case as == four:
		return slices.Concat(c.Additional, c.mapped.Additional, c.Extra.byRole, c.mapped.Extra.byRole)
	case early || len(own) > 0 || len(c.mapped.Extra.list) > 0:
		return slices.Concat(own, c.mapped.Extra.list)
	case len(c.mapped.Additional) > 0:
		return c.mapped.Additional
	}
	return c.Additional
}

// specials are the special tokens with a role, in the order in which a version adds them.
func (c *config) specials(decoder []addedJSON, fromJSON bool, as version) []tokenName {
	standard := c.family.standardNames()
	var names []tokenName
	for i, n := range c.roles() {
		name := *n
		if name.Content == "" {
			name = *standard.roles()[i]
		} else {
			for _, a := range decoder {
				if a.Content == name.Content && (as == five || a.from != addedFile) {
					name = tokenName{a, true}
				}
			}
		}
		if as == four && !name.object && name.Content != "" {
			// The Python classes of GPT-2 and RoBERTa make objects of strings, the Rust-backed RoBERTa of its mask.
			mask := c.family == robertaFamily && i == len(c.roles())-1
			name.object = mask || !fromJSON && (c.family == gptFamily || c.family == robertaFamily)
			name.LStrip = mask
		}
		names = append(names, name)
	}
	if as == five {
		names = slices.Concat(names, c.own, c.Extra.byRole, c.mapped.Extra.byRole)
	}
	return names
}
