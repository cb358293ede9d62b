package provisioning

import "errors"

// Why Answer gives no file. Each front maps these to its own protocol in one place: httpStatus in http.go and
// tftpError in tftp.go.
var (
	ErrNotFound = errors.New("no such file")
	ErrMethod   = errors.New("no upload is taken under this name")
	ErrLimited  = errors.New("too many misses from this source")
	ErrTooLarge = errors.New("the upload is larger than its kind may be")
	ErrAway     = errors.New("the fleet cannot be written now") // try again later
	ErrBroken   = errors.New("the file cannot be rendered")
	errDenied   = errors.New("credentials are required")
)

// Denied is the refusal of a request that might do better with credentials. It is the same for a device that exists and
// one that does not.
type Denied struct {
	Stale bool // the credentials were right and only their nonce is too old (RFC 7616 section 3.3)
}

// Error says nothing about the device.
func (d *Denied) Error() string { return errDenied.Error() }
