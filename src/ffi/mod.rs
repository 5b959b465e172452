//! The C boundary: pointers in, owned values down, results out. The only room with `unsafe`
//! besides the AWS-LC binding.
#![allow(unsafe_code, non_snake_case)]
