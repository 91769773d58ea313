package io.lancetorch.data; final class Placeholder {}
