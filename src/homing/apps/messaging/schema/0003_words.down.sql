DROP FUNCTION messaging.find_words(text);
