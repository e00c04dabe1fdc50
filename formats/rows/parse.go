package rows

import (
	"unicode/utf8"

	"etc/fault"
)

// parseText makes r the row of a plain text line.
func (r *Row) parseText(line []byte) error {
	if !utf8.Valid(line) {
		return errUTF8
	}
	r.Text = string(line)
	return nil
}

// parseObject makes r the row of a JSON line, whose fields are in o afterwards.
func (r *Row) parseObject(line []byte, o *object) error {
	err := o.read(line)
	r.ID = append(r.ID, o.value[fieldID]...)
	if err != nil {
		return err
	}
	text, ids := o.value[fieldText] != nil, o.value[fieldIDs] != nil
	switch {
	case text && ids:
		return fault.Newf(fault.Corrupt, `both "text" and "ids", want one of them`)
	case text:
		return r.setText(o)
	case ids:
		return r.setIDs(o)
	}
	return fault.Newf(fault.Corrupt, `neither "text" nor "ids", want one of them`)
}

func (r *Row) setText(o *object) (err error) {
	if o.value[fieldTypeIDs] != nil {
		return fault.Newf(fault.Corrupt, `"type_ids" beside "text", want it beside "ids" only`)
	}
	if r.Text, err = o.text(fieldText); err != nil || o.value[fieldPair] == nil {
		return err
	}
	pair, err := o.text(fieldPair)
	r.Pair = &pair
	return err
}

func (r *Row) setIDs(o *object) (err error) {
	if o.value[fieldPair] != nil {
		return fault.Newf(fault.Corrupt, `"text_pair" beside "ids", want it beside "text" only`)
	}
	if r.IDs, err = o.ids(fieldIDs, r.IDs); err != nil {
		return err
	}
	if len(r.IDs) == 0 {
		return fault.Newf(fault.Corrupt, `"ids" is empty, want at least one token`)
	}
	if o.value[fieldTypeIDs] == nil {
		return nil
	}
	if r.TypeIDs, err = o.ids(fieldTypeIDs, r.TypeIDs); err != nil {
		return err
	}
	if len(r.TypeIDs) != len(r.IDs) {
		return fault.Newf(fault.Corrupt, `%d "type_ids", want %d, one for each of "ids"`, len(r.TypeIDs), len(r.IDs))
	}
	return nil
}
