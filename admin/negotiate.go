package admin

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// negotiate refuses a body that says not what it is, and an answer that its reader could not take.
func negotiate(r *http.Request, media string) *problem {
	if r.ContentLength != 0 && r.Header.Get("Content-Type") == "" {
		switch r.Method {
		case http.MethodPost, http.MethodPut, http.MethodPatch: // another site's page can send such a body without being asked first
			return unsupportedMedia()
		}
	}
	if accept := r.Header.Values("Accept"); media != anyMedia && !accepts(strings.Join(accept, ","), media) {
		return newProblem(http.StatusNotAcceptable, "not-acceptable", "this address answers "+media+"; leave Accept out, or name that in it")
	}
	return nil
}

func unsupportedMedia() *problem {
	return newProblem(http.StatusUnsupportedMediaType, "media-type-unsupported", "send application/json, or application/merge-patch+json with PATCH")
}

// accepts reads an Accept header (RFC 9110 section 12.5.1): the most specific range that holds the type decides, and a weight
// of 0 refuses. What cannot be read as a range names nothing.
func accepts(header, media string) bool {
	kind, _, _ := strings.Cut(media, "/")
	best, good := 0, strings.TrimSpace(header) == ""
	for part := range strings.SplitSeq(header, ",") {
		name, params, err := mime.ParseMediaType(part)
		rank := map[string]int{"*/*": 1, kind + "/*": 2, media: 3}[name]
		if err != nil || rank <= best {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		best, good = rank, err != nil || q > 0
	}
	return good
}
