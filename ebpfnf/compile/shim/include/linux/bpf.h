/* Empty: bcc includes its own copy first. */
