"""Methods that learn their loss: a discriminator distinguishes student from teacher."""
